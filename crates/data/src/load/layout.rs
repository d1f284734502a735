//! Numbers of a pixel, as a network sees them.

use contract::Invalid;
use raster::Depth;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of bands that a network sees.
const MOST_BANDS: u32 = 64;

/// The bands of an image that the network sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of channels, or a list of bands such as [4, 3, 2]")]
#[schemars(extend("errorMessage" = "expected a number of channels, or a list of bands such as [4, 3, 2]"))]
pub enum Channels {
    /// Number of channels: 3 for red, green and blue, 1 for grey, or all bands of files with that many.
    Count(u32),
    /// Bands of the file in this order, the first of which is 1.
    Bands(Vec<u32>),
}

/// Range of the numbers that mean black to white.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a range such as [0, 10000], or a list of one for each channel")]
#[schemars(extend("errorMessage" = "expected a range such as [0, 10000], or a list of one for each channel"))]
pub enum Range {
    /// One for all channels.
    Common([f32; 2]),
    /// One for each channel. Numbers are brought to 0 to 1 as they are read.
    Each(Vec<[f32; 2]>),
}

/// Numbers of a pixel, as a network sees them: bands, depth and range.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Bands of the file.
    pub channels: Channels,
    /// Kind of the numbers.
    pub depth: Depth,
    /// Range of the numbers; `None` is the whole range of bytes or 16-bit numbers, and 0 to 1 for floats.
    pub range: Option<Range>,
    /// Numbers outside the range become its ends.
    pub clip: bool,
    /// Each channel of each image is brought to mean 0 and standard deviation 1.
    pub standardize: bool,
    /// Number of unknown pixels, besides the one that a file names and NaN.
    pub no_data: Option<f64>,
}

/// Change of an image's numbers as it is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scale {
    /// None.
    Stored,
    /// To 0 to 1 from the range of each channel.
    Ranges(Vec<[f32; 2]>),
    /// To mean 0 and standard deviation 1.
    Standardized,
}

/// Bytes, 3 for colours or 1 for grey.
impl From<u32> for Layout {
    fn from(channels: u32) -> Self {
        Self {
            channels: Channels::Count(channels),
            depth: Depth::U8,
            range: None,
            clip: false,
            standardize: false,
            no_data: None,
        }
    }
}

impl Channels {
    /// Returns the number of channels.
    pub fn count(&self) -> u32 {
        match self {
            Self::Count(count) => *count,
            Self::Bands(bands) => bands.len() as u32,
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        let count = self.count();
        Invalid::unless((1..=MOST_BANDS).contains(&count), "channels", || {
            format!("must be 1 to {MOST_BANDS} (3 for red, green and blue, 1 for grey), is {count}")
        })?;
        let zero = matches!(self, Self::Bands(bands) if bands.contains(&0));
        Invalid::unless(!zero, "channels", || "counts bands from 1, as GDAL does, and holds 0".into())
    }
}

impl Layout {
    /// Returns the number of channels.
    pub fn channels(&self) -> u32 {
        self.channels.count()
    }

    /// Returns whether images are bytes of colours or grey, as cameras make them, none of which stands for no data.
    pub fn is_plain(&self) -> bool {
        matches!(self.channels, Channels::Count(1 | 3)) && *self == self.channels().into()
    }

    /// Returns the layout in which people are shown the images: with their colours, where the network sees bytes of
    /// them or of their grey, and not standardised, since a [picture](crate::Shown) is stretched anyway.
    pub fn shown(&self) -> Self {
        if self.is_plain() { Self::from(3) } else { Self { standardize: false, ..self.clone() } }
    }

    /// Returns the numbers that mean black and white in images as they are loaded.
    pub fn range(&self) -> [f32; 2] {
        match (&self.range, self.depth) {
            // Nearly all numbers of a normal distribution.
            _ if self.standardize => [-3.0, 3.0],
            (Some(Range::Common(range)), _) => *range,
            (None, Depth::U8) => [0.0, 255.0],
            (None, Depth::U16) => [0.0, 65_535.0],
            (Some(Range::Each(_)), _) | (None, Depth::F32) => [0.0, 1.0],
        }
    }

    /// Returns the number of pixels without content: black, or the mean of standardised images.
    pub fn black(&self) -> f32 {
        if self.standardize { 0.0 } else { self.range()[0] }
    }

    /// Returns the numbers that become 0 and 1 in the network's input.
    pub fn unit(&self) -> [f32; 2] {
        if self.standardize { [0.0, 1.0] } else { self.range() }
    }

    /// Returns the change of numbers as they are read.
    pub(crate) fn scale(&self) -> Scale {
        match &self.range {
            _ if self.standardize => Scale::Standardized,
            Some(Range::Each(ranges)) => Scale::Ranges(ranges.clone()),
            _ => Scale::Stored,
        }
    }

    /// Refuses what cannot work; keys are those of the data section.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        self.channels.check()?;
        let channels = self.channels() as usize;
        let ranges: &[[f32; 2]] = match &self.range {
            None => &[],
            Some(Range::Common(range)) => std::slice::from_ref(range),
            Some(Range::Each(ranges)) => {
                Invalid::unless(ranges.len() == channels, "range", || {
                    format!("must hold one range for each of the {channels} channels, holds {}", ranges.len())
                })?;
                ranges
            }
        };
        let wrong = ranges.iter().find(|[low, high]| !(low.is_finite() && high.is_finite() && low < high));
        Invalid::unless(wrong.is_none(), "range", || {
            let [low, high] = wrong.copied().unwrap_or_default();
            format!("must begin below its end, is {low} to {high}")
        })?;
        Invalid::unless(self.depth == Depth::F32 || !matches!(self.range, Some(Range::Each(_))), "range", || {
            "of each channel makes fractions of its numbers: set depth to \"f32\"".into()
        })?;
        Invalid::unless(self.depth != Depth::U8 || self.range.is_none(), "range", || {
            "is 0 to 255 where depth is \"u8\": leave it out, or set depth to \"u16\" or \"f32\"".into()
        })?;
        Invalid::unless(self.depth == Depth::F32 || !self.standardize, "normalize", || {
            "of each image makes fractions of its numbers: set depth to \"f32\"".into()
        })?;
        Invalid::unless(self.range.is_some() || !self.clip, "clip", || {
            "keeps numbers within a range: set range, too".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_and_white_follow_from_depth_and_range() {
        let layout = |depth, range, standardize| Layout { depth, range, standardize, ..Layout::from(3) };
        let each = || Some(Range::Each(vec![[0.0, 5.0]; 3]));
        for (layout, range, unit) in [
            (layout(Depth::U8, None, false), [0.0, 255.0], [0.0, 255.0]),
            (layout(Depth::U16, None, false), [0.0, 65_535.0], [0.0, 65_535.0]),
            (layout(Depth::U16, Some(Range::Common([10.0, 90.0])), false), [10.0, 90.0], [10.0, 90.0]),
            (layout(Depth::F32, None, false), [0.0, 1.0], [0.0, 1.0]),
            (layout(Depth::F32, each(), false), [0.0, 1.0], [0.0, 1.0]),
            (layout(Depth::F32, None, true), [-3.0, 3.0], [0.0, 1.0]),
        ] {
            assert_eq!((layout.check(), layout.range(), layout.unit()), (Ok(()), range, unit), "{layout:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        let plain = Layout::from(3);
        let bands = |bands: &[u32]| Layout { channels: Channels::Bands(bands.into()), ..plain.clone() };
        let deep = |depth, range| Layout { depth, range: Some(range), ..plain.clone() };
        for (layout, key, said) in [
            (Layout::from(0), "channels", "is 0"),
            (Layout::from(65), "channels", "1 to 64"),
            (bands(&[]), "channels", "is 0"),
            (bands(&[1, 0]), "channels", "from 1"),
            (deep(Depth::F32, Range::Each(vec![[0.0, 1.0]])), "range", "each of the 3 channels, holds 1"),
            (deep(Depth::U16, Range::Common([5.0, 5.0])), "range", "is 5 to 5"),
            (deep(Depth::F32, Range::Common([0.0, f32::NAN])), "range", "begin below its end"),
            (deep(Depth::U16, Range::Each(vec![[0.0, 1.0]; 3])), "range", "\"f32\""),
            (deep(Depth::U8, Range::Common([0.0, 9.0])), "range", "0 to 255"),
            (Layout { standardize: true, ..plain.clone() }, "normalize", "\"f32\""),
            (Layout { clip: true, ..plain.clone() }, "clip", "set range"),
        ] {
            let invalid = layout.check().unwrap_err();
            assert!(invalid.key == key && invalid.problem.contains(said), "{invalid:?}");
        }
        assert!(plain.is_plain() && Layout::from(1).is_plain() && !Layout::from(2).is_plain());
        assert!(!bands(&[1, 2, 3]).is_plain() && !Layout { no_data: Some(0.0), ..plain }.is_plain());
    }
}
