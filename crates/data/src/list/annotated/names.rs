//! Reads the list of the categories' names.

use super::config::Annotations;
use super::tool::Tool;
use crate::error::Error;
use crate::list::lines::read;
use annotation::names::{from_text, from_yaml};

/// Advice where the list is missing.
const HINT: &str = "data.names must name a data.yaml with the key names, or a text with one name a line, below \
                    data.root";

impl Annotations {
    /// Returns the names of the categories in the order of their ids, where a file lists them.
    pub(super) fn listed_names(&self, tool: Tool) -> Result<Option<Vec<String>>, Error> {
        let name = match (&self.names, tool) {
            (Some(name), _) => name,
            (None, Tool::Yolo) => "data.yaml",
            (None, _) => return Ok(None),
        };
        let path = self.root.join(name);
        let text = read("list of the categories' names", &path, HINT)?;
        let file = path.display().to_string();
        let is_yaml = path.extension().is_some_and(|found| ["yaml", "yml"].iter().any(|yaml| found == *yaml));
        Ok(Some(if is_yaml { from_yaml(&file, &text)? } else { from_text(&file, &text)? }))
    }
}
