//! The tools that people draw annotations with.

/// Tool whose annotation files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// COCO's instances, as JSON.
    Coco,
    /// LabelMe's JSON, one for each image.
    LabelMe,
    /// Ultralytics' text of segments, one for each image.
    Yolo,
    /// Label Studio's export as JSON.
    LabelStudio,
    /// CVAT for images 1.1, XML.
    Cvat,
}

impl Tool {
    /// Returns the extension of the tool's files.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Coco | Self::LabelMe | Self::LabelStudio => "json",
            Self::Yolo => "txt",
            Self::Cvat => "xml",
        }
    }
}
