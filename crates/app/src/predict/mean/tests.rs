use super::*;
use tch::{Device, Kind};

/// Script of a source: `+a` begins an image of 4 rows and 3 columns, a number is that many rows, `.` ends the image,
/// and `!a` is a broken one. Row `r` has the value `r + offset`.
struct Script {
    words: VecDeque<&'static str>,
    row: i64,
    offset: f64,
}

impl Source for Script {
    fn next(&mut self) -> Result<Option<Said>> {
        let Some(word) = self.words.pop_front() else { return Ok(None) };
        Ok(Some(match word.split_at(1) {
            ("+", name) => {
                self.row = 0;
                Said::Image(Image { name: name.into(), file: name.into(), size: [4, 3] })
            }
            (".", _) => Said::Done,
            ("!", name) => Said::Broken(Passed { name: name.into(), reason: "torn".into() }),
            _ => {
                let rows: i64 = word.parse()?;
                let values = Tensor::arange_start(self.row, self.row + rows, (Kind::Float, Device::Cpu)) + self.offset;
                self.row += rows;
                Said::Rows(values.view([1, rows, 1]).expand([2, rows, 3], false))
            }
        }))
    }
}

/// Returns what comes out of sources with these scripts: names, `!` before broken ones, and the values of the rows.
fn mean(scripts: &[&'static str]) -> Result<Vec<String>> {
    let script = |(number, script): (usize, &&'static str)| {
        let words = script.split(' ').collect();
        Box::new(Script { words, row: 0, offset: 10.0 * number as f64 }) as Box<dyn Source>
    };
    let mut mean = Mean::of(scripts.iter().enumerate().map(script).collect());
    let mut said = Vec::new();
    while let Some(next) = mean.next()? {
        said.push(match next {
            Said::Image(image) => image.name,
            Said::Rows(rows) => {
                assert_eq!((rows.size()[0], rows.size()[2]), (2, 3));
                let values = Vec::<f32>::try_from(rows.select(0, 1).select(1, 2))?;
                values.iter().map(|value| format!("{value}")).collect::<Vec<_>>().join(" ")
            }
            Said::Done => ".".into(),
            Said::Broken(passed) => format!("!{}", passed.name),
        });
    }
    Ok(said)
}

#[test]
fn rows_are_averaged_however_they_come() {
    let found = mean(&["+a 1 3 . +b 4 .", "+a 2 1 1 . +b 1 1 2 .", "+a 4 . +b 2 2 ."]).unwrap();
    let expected = ["a", "10", "11", "12", "13", ".", "b", "10", "11", "12 13", "."];
    assert_eq!(found, expected);
}

#[test]
fn an_image_that_one_network_cannot_read_is_left_out() {
    for scripts in [
        // Before it begins, for all or one; early, as by a batch that knows it; in the middle.
        ["+a 4 . !b +c 4 .", "+a 4 . !b +c 4 ."],
        ["+a 4 . +b 4 . +c 4 .", "!b +a 2 2 . +c 4 ."],
        ["+a 2 2 . +b 1 !b +c 4 .", "+a 4 . +b 2 2 . +c 4 ."],
        ["+a 4 . +b 1 !b +c 4 .", "+a 4 . !b +c 4 ."],
    ] {
        let mut found = mean(&scripts).unwrap();
        assert_eq!(found.iter().filter(|said| *said == "!b").count(), 1, "{found:?}");
        // A broken image that had begun stays incomplete.
        found.retain(|said| said != "!b");
        let text = found.join(" ");
        assert!(
            text == "a 5 6 7 8 . c 5 6 7 8 ." || text.starts_with("a 5 6 7 8 . b") && text.ends_with("c 5 6 7 8 .")
        );
        assert!(found.iter().filter(|said| *said == ".").count() == 2, "{text}");
    }
    // The last image, and all of them.
    assert_eq!(mean(&["+a 4 .", "!a"]).unwrap(), ["!a"]);
    assert_eq!(mean(&["!a !b", "+a 4 . +b 4 ."]).unwrap(), ["!a", "!b"]);
    assert_eq!(mean(&["+a 4 . !d", "+a 4 . +d 4 ."]).unwrap(), ["a", "5 6 7 8", ".", "!d"]);
}

#[test]
fn different_numbers_of_rows_are_an_error() {
    assert!(mean(&["+a 4 .", "+a 3 ."]).unwrap_err().to_string().contains("different numbers of rows"));
}
