//! Recognizes headers and malformed lines in lists of samples, and says what to write instead.

/// Usual names of the image column, in lower case.
const IMAGES: [&str; 15] = [
    "image",
    "images",
    "img",
    "image_path",
    "image_name",
    "image_id",
    "imagepath",
    "file",
    "filename",
    "file_name",
    "filepath",
    "path",
    "photo",
    "name",
    "id",
];

/// Usual names of the mask column, in lower case.
const MASKS: [&str; 14] = [
    "mask",
    "masks",
    "mask_path",
    "mask_name",
    "maskpath",
    "label",
    "labels",
    "label_path",
    "annotation",
    "annotations",
    "segmentation",
    "target",
    "gt",
    "ground_truth",
];

/// Returns whether the first record of a list is a header: one cell names images, one names masks, and none contains a
/// slash, backslash or dot.
pub(super) fn is_header<'t>(cells: impl Iterator<Item = &'t str> + Clone) -> bool {
    let any = |words: &[&str]| cells.clone().any(|cell| words.iter().any(|word| cell.eq_ignore_ascii_case(word)));
    any(&IMAGES) && any(&MASKS) && cells.clone().all(|cell| !cell.contains(['/', '\\', '.']))
}

/// Refuses a column that is hardly a path. CSV has no quotes and commas left at this point, so it is exempt from the
/// checks for them.
pub(super) fn check(column: &str, is_csv: bool) -> Result<(), String> {
    if column.contains('\\') {
        return Err(format!("has backslashes between folders: write '{}'", column.replace('\\', "/")));
    }
    if is_csv {
        return Ok(());
    }
    let quoted = |quote| column.len() > 1 && column.starts_with(quote) && column.ends_with(quote);
    if quoted('"') || quoted('\'') {
        return Err(format!(
            "has quotes, which only .csv lists have: write {column} without them, and a tab between the columns where \
             paths have spaces"
        ));
    }
    match column.chars().next_back() {
        Some(sign @ (',' | ';')) => Err(format!(
            "has '{sign}' between its columns: write a space or a tab there, or commas alone in a .csv list"
        )),
        _ => Ok(()),
    }
}

/// Explains why a line that should have two columns has one.
pub(super) fn one_column(column: &str, is_csv: bool) -> String {
    let space = column.chars().find(|sign| sign.is_whitespace() && !sign.is_ascii());
    let reason = match (is_csv, space) {
        (true, _) if column.contains(';') => Some("';' between its columns: write commas there".into()),
        (true, _) if column.contains('\t') => {
            Some("a tab between its columns: write commas there, or call the list .txt".into())
        }
        (false, _) if column.contains([',', ';']) => {
            Some("no space between its columns: write one, or commas in a list that ends in .csv".into())
        }
        (_, Some(space)) => Some(format!(
            "a space of another kind (U+{:04X}) where columns could part: write an ordinary space or a tab",
            u32::from(space)
        )),
        _ => None,
    };
    match reason {
        Some(reason) => format!("has {reason}"),
        None => "has one column, and data.image and data.mask make the same path of it: set them to something \
                 like 'JPEGImages/{}.jpg' and 'SegmentationClass/{}.png', or give two columns"
            .into(),
    }
}
