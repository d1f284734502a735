//! Header of a NIfTI file: 348 bytes (NIfTI-1, <https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h>) or 540
//! (NIfTI-2).

use crate::error::{Problem, damaged, refused};
use crate::number::{Cell, Kind, Stored};
use crate::source::Endian;

/// Facts of a volume.
#[derive(Debug)]
pub(super) struct Header {
    /// Numbers along x, y and z, and volumes.
    pub(super) shape: [u64; 4],
    /// Colours a voxel, 1 to 4.
    pub(super) colors: u64,
    pub(super) stored: Stored,
    pub(super) cell: Cell,
    pub(super) endian: Endian,
    /// Bytes of a number.
    pub(super) item: usize,
    /// Place of the first number, in the file of the numbers.
    pub(super) at: u64,
    /// Slope and intercept, if they change anything.
    pub(super) scale: Option<[f64; 2]>,
}

impl Header {
    /// Returns the bytes from one voxel to the next along each axis, x fastest.
    pub(super) fn strides(&self) -> [u64; 4] {
        let x = self.item as u64 * self.colors;
        // Products were checked when the header was parsed.
        let y = x * self.shape[0];
        let z = y * self.shape[1];
        [x, y, z, z * self.shape[2]]
    }

    /// Returns the place behind the last number.
    pub(super) fn end(&self) -> Option<u64> {
        self.strides()[3].checked_mul(self.shape[3])?.checked_add(self.at)
    }
}

/// Places of the fields in both versions.
struct Fields {
    dim: usize,
    /// Bytes of a dimension.
    wide: usize,
    datatype: usize,
    offset: usize,
    slope: usize,
    intercept: usize,
    pair: bool,
    endian: Endian,
}

/// Returns whether these bytes are a header.
pub(crate) fn is_header(start: &[u8]) -> bool {
    fields(start).is_some()
}

/// Returns whether the numbers lie in a file of their own.
pub(super) fn is_pair(start: &[u8]) -> bool {
    fields(start).is_some_and(|fields| fields.pair)
}

fn fields(start: &[u8]) -> Option<Fields> {
    let size = start.get(..4)?;
    let endian = [Endian::Little, Endian::Big].into_iter().find(|endian| matches!(endian.unsigned(size), 348 | 540))?;
    if endian.unsigned(size) == 348 {
        let pair = match start.get(344..348)? {
            b"n+1\0" => false,
            b"ni1\0" => true,
            _ => return None,
        };
        Some(Fields { dim: 40, wide: 2, datatype: 70, offset: 108, slope: 112, intercept: 116, pair, endian })
    } else {
        let pair = match start.get(4..12)? {
            b"n+2\0\r\n\x1a\n" => false,
            b"ni2\0\r\n\x1a\n" => true,
            _ => return None,
        };
        start.get(..540)?;
        Some(Fields { dim: 16, wide: 8, datatype: 12, offset: 168, slope: 176, intercept: 184, pair, endian })
    }
}

/// Parses a header.
pub(super) fn parse(start: &[u8]) -> Result<Header, Problem> {
    let Some(Fields { dim, wide, datatype, offset, slope, intercept, pair, endian }) = fields(start) else {
        return damaged("its NIfTI header is cut off");
    };
    // Every place lies within the bytes that `fields` has seen.
    let unsigned = |at: usize, bytes: usize| start.get(at..at + bytes).map_or(0, |bytes| endian.unsigned(bytes));
    let float = |at: usize| start.get(at..at + wide.max(4)).map_or(0.0, |bytes| endian.float(bytes));
    let dims: [u64; 8] = std::array::from_fn(|index| unsigned(dim + index * wide, wide));
    let count = dims[0];
    if !(1..=7).contains(&count) {
        return damaged(format!("its number of axes is {count}, and a volume has 1 to 7"));
    }
    let length = |axis: usize| if axis as u64 <= count { dims[axis] } else { 1 };
    let lengths: [u64; 7] = std::array::from_fn(|axis| length(axis + 1));
    let most = if wide == 2 { 0x7fff } else { 0x7fff_ffff };
    if let Some(wrong) = lengths.iter().position(|length| !(1..=most).contains(length)) {
        return damaged(format!("its axis {wrong} has a length of {}, and 1 to {most} are possible", lengths[wrong]));
    }
    let [x, y, z, time, vector, more @ ..] = lengths;
    if time > 1 && vector > 1 || more.iter().any(|length| *length > 1) {
        return refused(format!(
            "has the axes {lengths:?}, and three and one for the bands are read: save a volume each (nibabel: \
             img.slicer[..., k])"
        ));
    }
    let whole = |kind, bits| (Stored { kind, bits }, 1);
    let (stored, colors) = match unsigned(datatype, 2) {
        2 => whole(Kind::Unsigned, 8),
        4 => whole(Kind::Signed, 16),
        8 => whole(Kind::Signed, 32),
        16 => whole(Kind::Float, 32),
        64 => whole(Kind::Float, 64),
        256 => whole(Kind::Signed, 8),
        512 => whole(Kind::Unsigned, 16),
        768 => whole(Kind::Unsigned, 32),
        1024 => whole(Kind::Signed, 64),
        1280 => whole(Kind::Unsigned, 64),
        128 => (Stored::U8, 3),
        2304 => (Stored::U8, 4),
        code => {
            let name = match code {
                1 => "single bits",
                32 | 1792 | 2048 => "complex numbers",
                1536 => "floats of 128 bits",
                _ => "an unknown kind",
            };
            return refused(format!(
                "holds {name} (datatype {code}): save it with whole numbers or floats (nibabel: img.set_data_dtype)"
            ));
        }
    };
    let Some(cell) = stored.cell() else { return refused(format!("holds numbers of {stored}: save it as float32")) };
    let bands = time.max(vector);
    if colors > 1 && bands > 1 {
        return refused("holds several volumes of colours: save a volume each (nibabel: img.slicer[..., k])");
    }
    let item = cell.bytes();
    let all = [x, y, z, bands, colors, item as u64];
    if all.iter().try_fold(1_u64, |all, length| all.checked_mul(*length)).is_none_or(|all| all > 1 << 60) {
        return damaged(format!("a volume of {lengths:?} is larger than any file"));
    }
    let at = if wide == 2 { float(offset) } else { unsigned(offset, 8) as f64 };
    let least = if pair { 0.0 } else { if wide == 2 { 352.0 } else { 544.0 } };
    // nibabel: 0 stands for the least place.
    let at = if at == 0.0 { least } else { at };
    if !(at >= least && at <= 1e15 && at.fract() == 0.0) {
        return damaged(format!("its numbers begin at byte {at}, and {least} is the first that is free"));
    }
    let [slope, intercept] = [float(slope), float(intercept)];
    // The standard: a slope of 0 means that nothing is scaled. nibabel reads one that is not finite the same way.
    let scaled = slope != 0.0 && slope.is_finite() && (slope, intercept) != (1.0, 0.0) && colors == 1;
    if scaled && !intercept.is_finite() {
        return damaged(format!("its scl_inter is {intercept}"));
    }
    let scale = scaled.then_some([slope, intercept]);
    Ok(Header { shape: [x, y, z, bands], colors, stored, cell, endian, item, at: at as u64, scale })
}
