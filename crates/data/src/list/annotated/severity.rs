//! Judges problems of annotations.

use annotation::Trouble;

/// Returns whether a mask is wrong without the annotation that was left out. The others cover no pixel, or concern an
/// image that is not in the data set.
pub(crate) fn is_wrong(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::UnknownImage(_)
        | Trouble::DuplicateImage
        | Trouble::DuplicateAnnotation
        | Trouble::NoSize
        | Trouble::Points { .. }
        | Trouble::Outside { .. }
        | Trouble::NoArea(_)
        | Trouble::NoSegmentation
        | Trouble::SeveralAnnotations(_) => false,
        Trouble::UnknownCategory(_)
        | Trouble::NoCategory
        | Trouble::NoFileName
        | Trouble::BadSize { .. }
        | Trouble::SizesDisagree { .. }
        | Trouble::OddCoordinates(_)
        | Trouble::Coordinate(_)
        | Trouble::Relative(_)
        | Trouble::Runs(_)
        | Trouble::Mask(_)
        | Trouble::UnknownShape(_)
        | Trouble::Turned(_)
        | Trouble::Malformed(_)
        | Trouble::UnknownSegment(_) => true,
    }
}
