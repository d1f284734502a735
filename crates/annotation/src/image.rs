//! The image files that annotations belong to.

use crate::patch::Size;
use crate::problem::Trouble;

/// An image file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name that the set shall have for it.
    pub file_name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Agrees on an image's name and size: those of the image itself, with which the file's must agree.
pub(crate) fn agree(name: &str, claimed: Option<[u64; 2]>, image: Option<Image>) -> Result<(String, Size), Trouble> {
    if name.is_empty() {
        return Err(Trouble::NoFileName);
    }
    let found = image.as_ref().map(|image| [image.width, image.height].map(u64::from));
    if let (Some([found_width, found_height]), Some(image)) = (claimed, &image)
        && found != claimed
    {
        let Image { width, height, .. } = *image;
        return Err(Trouble::SizesDisagree { found_width, found_height, width, height });
    }
    let [width, height] = claimed.or(found).ok_or(Trouble::NoSize)?;
    let size = Size::new(width, height).map_err(|_| Trouble::BadSize { width, height })?;
    Ok((image.map_or_else(|| name.to_owned(), |image| image.file_name), size))
}
