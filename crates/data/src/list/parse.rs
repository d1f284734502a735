//! Parses lists of samples: text with one or two columns, or CSV.

mod meant;

use crate::error::Error;
use crate::list::lines::{lines, shown, without_mark};
use crate::list::paths::{Entry, Paths, Pattern, too_large};
use csv::{ReaderBuilder, StringRecord, Trim};
use std::path::Path;

/// Rules for reading a list.
#[derive(Debug, Clone)]
pub(crate) struct Format<'a> {
    /// The list; the extension `.csv` makes it CSV.
    pub(crate) path: &'a Path,
    /// Prefix that is removed from each column.
    pub(crate) strip_prefix: &'a str,
    /// Pattern of an image's path, around the first column.
    pub(crate) image: Pattern,
    /// Pattern of a mask's path, around the second column, or the only one.
    pub(crate) mask: Pattern,
}

impl Format<'_> {
    /// Parses the list's whole `text` and returns its samples, in its order.
    pub(crate) fn parse(&self, root: &Path, text: String) -> Result<Paths, Error> {
        let mut paths = if self.is_csv() { self.csv(root, &text)? } else { self.text(root, text)? };
        (paths.image, paths.mask) = (self.image.clone(), self.mask.clone());
        if paths.entries.is_empty() { Err(Error::Empty { path: self.path.into() }) } else { Ok(paths) }
    }

    fn is_csv(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
    }

    /// Parses columns separated by white space; only by tabs in a line that has any. The entries refer to the list's
    /// own text.
    fn text(&self, root: &Path, text: String) -> Result<Paths, Error> {
        u32::try_from(text.len()).map_err(|_| too_large(self.path))?;
        let span = |part: &str| {
            let start = part.as_ptr() as usize - text.as_ptr() as usize;
            [start as u32, (start + part.len()) as u32]
        };
        let mut entries = Vec::with_capacity(text.bytes().filter(|byte| *byte == b'\n').count() + 1);
        let mut columns = Columns::default();
        for (number, line) in lines(&text) {
            if line.contains('\r') {
                let problem =
                    "ends its lines as old Macs did: save the list with the line ends of Unix (LF) or Windows (CRLF)";
                return Err(self.wrong(number, problem.into(), line));
            }
            let cells = if line.contains('\t') {
                first_three(line.split('\t').map(str::trim).filter(|cell| !cell.is_empty()))
            } else {
                first_three(line.split_ascii_whitespace())
            };
            if entries.is_empty() && meant::is_header(cells.iter().flatten().copied()) {
                let problem = "names columns, which only .csv lists do: remove the line";
                return Err(self.wrong(number, problem.into(), line));
            }
            let sample = columns.sample(self, cells);
            let [name, image, mask] = sample.map_err(|problem| self.wrong(number, problem, line))?.map(span);
            entries.push(Entry { name, image, mask });
        }
        Ok(Paths { text, entries, ..Paths::new(root) })
    }

    /// Parses comma-separated values. If the first record names the columns `image` and `mask`, other columns are
    /// ignored.
    fn csv(&self, root: &Path, text: &str) -> Result<Paths, Error> {
        let text = without_mark(text);
        let mut options = ReaderBuilder::new();
        options.has_headers(false).flexible(true).comment(Some(b'#')).trim(Trim::All);
        let mut reader = options.from_reader(text.as_bytes());
        let (mut paths, mut columns) = (Paths::new(root), Columns::default());
        let (mut record, mut header, mut first) = (StringRecord::new(), None, true);
        loop {
            let start = reader.position().byte() as usize;
            let wrong = |problem| {
                let (number, line) = record_at(text, start);
                self.wrong(number, problem, line)
            };
            if !reader.read_record(&mut record).map_err(|error| wrong(error.to_string()))? {
                return Ok(paths);
            }
            if record.iter().all(str::is_empty) {
                continue;
            }
            if record.iter().any(|cell| cell.contains(['\n', '\r'])) {
                return Err(wrong("has a quote that no quote closes".into()));
            }
            if first {
                first = false;
                let column = |name| record.iter().position(|cell| cell.eq_ignore_ascii_case(name));
                header = column("image").zip(column("mask"));
                if header.is_some() {
                    continue;
                }
                if meant::is_header(record.iter()) {
                    return Err(wrong("names its columns differently: call the two that count image and mask".into()));
                }
            }
            let cells = match header {
                Some((image, mask)) => [record.get(image), record.get(mask).or(Some("")), None],
                None => first_three(record.iter()),
            };
            paths.push(columns.sample(self, cells).map_err(wrong)?, self.path)?;
        }
    }

    fn wrong(&self, line: usize, problem: String, found: &str) -> Error {
        let problem = format!("{problem}; the line is '{}'", shown(found));
        Error::List { path: self.path.into(), line, problem }
    }
}

fn first_three<'t>(mut cells: impl Iterator<Item = &'t str>) -> [Option<&'t str>; 3] {
    [cells.next(), cells.next(), cells.next()]
}

/// Returns the number and the text of the line of the record that is read next at byte `start`.
fn record_at(text: &str, start: usize) -> (usize, &str) {
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    let breaks = before.bytes().filter(|byte| *byte == b'\n').count();
    let nothing = |line: &&str| line.trim_matches([' ', '\t', ',', '\r']).is_empty() || line.starts_with('#');
    let passed = rest.split('\n').take_while(nothing).count();
    (breaks + passed + 1, rest.split('\n').nth(passed).unwrap_or_default())
}

/// Number of columns of a list, the same in every line.
#[derive(Debug, Default)]
struct Columns(Option<usize>);

impl Columns {
    /// Returns name, image and mask of a line with these cells, or the problem with it.
    fn sample<'t>(&mut self, format: &Format, cells: [Option<&'t str>; 3]) -> Result<[&'t str; 3], String> {
        let [Some(first), second, None] = cells else {
            return Err("expected one or two columns (image and mask), found more; quote paths with spaces or commas \
                        in a .csv list, or part the columns of a text with a tab"
                .into());
        };
        let found = cells.iter().flatten().count();
        let expected = *self.0.get_or_insert(found);
        if found != expected {
            return Err(format!("has {found} of the {expected} columns that the list begins with"));
        }
        if second.is_none() && format.image == format.mask {
            return Err(meant::one_column(first, format.is_csv()));
        }
        let strip = |cell: &'t str| match cell.strip_prefix(format.strip_prefix) {
            Some(rest) if !format.strip_prefix.is_empty() => rest.trim_start_matches('/'),
            _ => cell,
        };
        let [image, mask] = [first, second.unwrap_or(first)].map(|cell| {
            let cell = strip(cell);
            cell.strip_prefix("./").unwrap_or(cell)
        });
        if image.is_empty() || mask.is_empty() {
            return Err("has an empty path for the image or the mask".into());
        }
        [image, mask].iter().try_for_each(|column| meant::check(column, format.is_csv()))?;
        let name = if second.is_some() { without_extension(image) } else { image };
        Ok([name, image, mask])
    }
}

/// Returns the path without the extension of its file name, if that is not hidden.
fn without_extension(path: &str) -> &str {
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    match path.rfind('.') {
        // A part of a file is told apart by what follows the extension.
        Some(dot) if dot > file && !path[dot..].contains('#') => &path[..dot],
        _ => path,
    }
}

#[cfg(test)]
mod tests;
