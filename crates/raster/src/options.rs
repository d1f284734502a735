//! Choice of the image in a file that holds several, and of the form of its numbers.

/// Slice of a volume. Its rows and columns are the two axes that are left, the later one downwards.
///
/// For NIfTI this is `np.asanyarray(img.dataobj)` of nibabel without the axis, transposed: `[:, :, k].T` for axis 2.
/// For `.npy` and `.npz` the axis is taken away, and the rest is not transposed: `a[k]` for axis 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Axis across which it is cut, 0-based.
    pub axis: u8,
    /// Its place on that axis, 0-based.
    pub index: u32,
}

/// Position of the bands in a NumPy array of three axes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Axes {
    /// At that end of the shape that is at most 32 while the other end is longer than 32; else the file is refused.
    #[default]
    Guess,
    /// First: `C×H×W`.
    BandsFirst,
    /// Last: `H×W×C`.
    BandsLast,
}

/// Choices at opening. The default is the first page of a TIFF, and the only image of any other file.
///
/// A choice that the file's format does not have is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Page of a TIFF, 0-based, without smaller copies and masks.
    pub page: u32,
    /// Takes the bands of all pages of a TIFF, one page after another, as those of one image.
    pub pages_as_bands: bool,
    /// Slice of a volume: of NIfTI, `.npy` or `.npz`.
    pub slice: Option<Slice>,
    /// Position of the bands of `.npy` and `.npz`.
    pub axes: Axes,
    /// Name of the array in an `.npz` that holds several.
    pub array: Option<String>,
    /// Reads the numbers as they are stored, for labels: palette indexes instead of colours, NIfTI without its scaling,
    /// TIFF in which 0 is white without turning it over.
    pub raw: bool,
    /// Bytes of decoded blocks that are kept. The default is one row of blocks, between 32 MiB and 512 MiB.
    pub cache: Option<usize>,
}
