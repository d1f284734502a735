//! TIFF files (including BigTIFF), decoded by the crate `tiff`: the supported kinds, and the conversion of their values
//! to pixels or labels.

use super::colors::{WIDE_COLORS, of_bytes};
use super::found::Found;
use super::problem::{MOST_MEMORY, Problem, failed, fits, tell_size};
use super::turn::Turn;
use super::unpack::unpack;
use crate::error::Error;
use crate::label::pixel::Label;
use crate::label::table::{LabelTable, Place};
use crate::load::pixels;
use image::ImageFormat;
use std::io::{Read, Seek};
use std::mem::swap;
use std::path::Path;
use tiff::TiffError;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::Tag;

/// Maximum number of pages visited: pyramids of large images have about a dozen.
const MOST_PAGES: usize = 64;

/// Supported values of the tag `Compression`.
const COMPRESSIONS: [u16; 7] = [1, 4, 5, 7, 8, 32_773, 32_946];

/// The first image of a TIFF file, before its pixels are decoded.
pub(super) struct Tiff<R: Read + Seek> {
    pub(super) decoder: Decoder<R>,
    /// Height and width as stored.
    pub(super) size: [u32; 2],
    /// The turn that brings it upright.
    pub(super) turn: Turn,
    /// Number of unused bands.
    pub(super) dropped: u16,
    pub(super) colors: Colors,
    /// Bits per sample.
    pub(super) bits: u8,
    format: Format,
    /// True if each band is stored apart.
    pub(super) planar: bool,
    white_is_zero: bool,
}

/// Colour model of the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colors {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    Cmyk,
    YCbCr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Unsigned,
    Signed,
    Float,
}

impl Colors {
    /// Returns the samples a pixel, as stored.
    pub(super) fn channels(self) -> u8 {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb | Self::YCbCr => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    /// Converts pixels of CMYK or YCbCr to RGB, and returns the channels of the result.
    pub(super) fn resolve(self, raw: &mut Vec<u8>, wide: bool) -> u8 {
        match (self, wide) {
            (Self::Cmyk, false) => each::<4, 3>(raw, |&[c, m, y, k]| {
                let light = 1.0 - f32::from(k) / 255.0;
                [c, m, y].map(|ink| ((255.0 - f32::from(ink)) * light) as u8)
            }),
            (Self::Cmyk, true) => each::<8, 6>(raw, |&[c0, c1, m0, m1, y0, y1, k0, k1]| {
                let light = 1.0 - f32::from(u16::from_ne_bytes([k0, k1])) / 65_535.0;
                let of = |low, high| ((65_535.0 - f32::from(u16::from_ne_bytes([low, high]))) * light) as u16;
                let [[r0, r1], [g0, g1], [b0, b1]] = [of(c0, c1), of(m0, m1), of(y0, y1)].map(u16::to_ne_bytes);
                [r0, r1, g0, g1, b0, b1]
            }),
            (Self::YCbCr, _) => each::<3, 3>(raw, |&[y, cb, cr]| {
                // JFIF's conversion, in libjpeg's integers and with its rounding.
                let [y, cb, cr] = [i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128];
                let [red, blue] = [(91_881 * cr, 0x8000), (116_130 * cb, 0x8000)].map(|(all, half)| (all + half) >> 16);
                let green = (-22_554 * cb - 46_802 * cr + 0x8000) >> 16;
                [y + red, y + green, y + blue].map(|value| value.clamp(0, 255) as u8)
            }),
            _ => return self.channels(),
        }
        3
    }
}

/// Replaces every pixel of `A` bytes by one of `B` bytes (at most `A`), in place.
fn each<const A: usize, const B: usize>(raw: &mut Vec<u8>, pixel: impl Fn(&[u8; A]) -> [u8; B]) {
    let count = raw.len() / A;
    for at in 0..count {
        let Some(from) = raw[A * at..].first_chunk::<A>() else { break };
        let to = pixel(from);
        raw[B * at..B * (at + 1)].copy_from_slice(&to);
    }
    raw.truncate(B * count);
}

impl<R: Read + Seek> Tiff<R> {
    /// Reads the header. A kind that is not supported is an error that says what to do.
    pub(super) fn open(reader: R) -> Result<Self, Problem> {
        let mut decoder = Decoder::new(reader).map_err(of_tiff)?;
        let (width, height) = decoder.dimensions().map_err(of_tiff)?;
        let mut numbers = |tag, usual: u16| -> Result<Vec<u16>, Problem> {
            Ok(decoder.find_tag_unsigned_vec(tag).map_err(of_tiff)?.unwrap_or_else(|| vec![usual]))
        };
        let first = |numbers: Vec<u16>| numbers.first().copied().unwrap_or_default();
        let compression = first(numbers(Tag::Compression, 1)?);
        let photometric = first(numbers(Tag::PhotometricInterpretation, u16::MAX)?);
        let samples = first(numbers(Tag::SamplesPerPixel, 1)?);
        let bits = first(numbers(Tag::BitsPerSample, 1)?);
        let planar = first(numbers(Tag::PlanarConfiguration, 1)?) == 2 && samples > 1;
        let predicted = first(numbers(Tag::Predictor, 1)?) != 1;
        let turn = numbers(Tag::Orientation, 1).map_or(Turn::NONE, |orientation| Turn::of(first(orientation)));
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(of_tiff)?.unwrap_or_default();
        let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(of_tiff)?.unwrap_or_default();
        let format = match format.first() {
            None | Some(1 | 4) => Format::Unsigned,
            Some(2) => Format::Signed,
            Some(3) => Format::Float,
            Some(_) => return Err(refused("of complex numbers", "save their magnitude with 8 bits")),
        };
        if !COMPRESSIONS.contains(&compression) {
            let name = match compression {
                2 | 3 => "fax group 3",
                6 => "the old JPEG-in-TIFF",
                34_712 => "JPEG 2000",
                34_887 => "LERC",
                34_925 => "LZMA",
                50_000 | 34_926 => "ZSTD",
                50_001 | 34_927 => "WebP",
                50_002 | 52_546 => "JPEG XL",
                _ => "an unknown compression",
            };
            let what = format!("compressed with {name} (number {compression})");
            return Err(refused(&what, "save it with LZW or DEFLATE, or as PNG"));
        }
        let has_alpha = matches!(extra.first(), Some(1 | 2));
        let colors = match (photometric, usize::from(samples).saturating_sub(extra.len())) {
            (0 | 1, _) if samples == 1 => Colors::Grey,
            (1, 1) if samples == 2 && has_alpha => Colors::GreyAlpha,
            (0 | 1, _) => {
                let what = format!("of {samples} bands that does not say which are red, green and blue");
                return Err(refused(&what, "write those three to a file of their own (gdal_translate -b 1 -b 2 -b 3)"));
            }
            (2, 3) if has_alpha => Colors::Rgba,
            (2, 3) => Colors::Rgb,
            (2, 4) => Colors::Rgba,
            (5, 4) if samples == 4 && !planar => Colors::Cmyk,
            (6, 3) if samples == 3 && compression == 7 && !planar => Colors::YCbCr,
            (3, _) => return Err(refused("with a palette", "save it as PNG, which keeps the palette")),
            (5, _) => return Err(refused("of inks in more than four or separate bands", RGB)),
            (6, _) => return Err(refused("of YCbCr colours that are not compressed with JPEG", RGB)),
            (8..=10, _) => return Err(refused("of L*a*b* colours", RGB)),
            _ => return Err(refused("of colours that are not known here", RGB)),
        };
        let used = u16::from(colors.channels());
        // A fourth band that is not marked as alpha is a band like any other.
        let dropped = samples.saturating_sub(used) + u16::from(colors == Colors::Rgba && !has_alpha);
        if samples > used && !planar && predicted {
            let what = format!("of {samples} bands with a predictor");
            return Err(refused(
                &what,
                "write red, green and blue to a file of their own (gdal_translate -b 1 -b 2 -b 3)",
            ));
        }
        let mut limits = Limits::default();
        limits.decoding_buffer_size = MOST_MEMORY as usize;
        limits.intermediate_buffer_size = MOST_MEMORY as usize;
        Ok(Self {
            decoder: decoder.with_limits(limits),
            size: [height, width],
            turn,
            dropped,
            colors,
            bits: u8::try_from(bits).unwrap_or(u8::MAX),
            format,
            planar,
            white_is_zero: photometric == 0,
        })
    }

    /// Returns whether a sample has 16 bits.
    pub(super) fn is_wide(&self) -> bool {
        self.bits == 16
    }

    /// Returns whether its samples of 8 or 16 bits are grey or colours as they are stored.
    pub(super) fn is_as_stored(&self) -> bool {
        let is_plain = !matches!(self.colors, Colors::Cmyk | Colors::YCbCr) && !self.white_is_zero;
        is_plain && self.format == Format::Unsigned && matches!(self.bits, 8 | 16)
    }

    /// Refuses sample formats that no image has.
    pub(super) fn check_image(&self) -> Result<(), Problem> {
        match (self.format, self.bits) {
            (Format::Unsigned, 8 | 16) => Ok(()),
            (Format::Unsigned, 1 | 2 | 4) if self.colors == Colors::Grey => Ok(()),
            (Format::Float, bits) => Err(refused(&format!("of {bits}-bit floating-point numbers"), SCALE)),
            (Format::Signed, bits) => Err(refused(&format!("of {bits}-bit numbers with a sign"), SCALE)),
            (Format::Unsigned, bits) => Err(refused(&format!("of {bits} bits a number"), SCALE)),
        }
    }

    /// Returns whether the file holds another picture. Smaller copies and masks of the first do not count.
    pub(super) fn has_more_pages(&mut self) -> bool {
        (0..MOST_PAGES).any(|_| {
            self.decoder.more_images()
                && self.decoder.next_image().is_ok()
                && self.decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType).ok().flatten().unwrap_or_default() & 5
                    == 0
        })
    }

    /// Decodes all samples into `raw`, band by band if they are stored so.
    fn read(&mut self, channels: u32, raw: &mut Vec<u8>) -> Result<(), Problem> {
        let stored = u64::from(self.colors.channels()) * u64::from(self.bits.div_ceil(8));
        fits(self.size, stored.max(channels.into()), MOST_MEMORY)?;
        let layout = self.decoder.image_buffer_layout().map_err(of_tiff)?;
        if layout.complete_len as u64 > MOST_MEMORY {
            return Err(tell_size(self.size, layout.complete_len as u64, MOST_MEMORY));
        }
        raw.resize(layout.complete_len, 0);
        self.decoder.read_image_bytes(raw).map_err(of_tiff)
    }

    /// Decodes an image into `raw`, to be converted to one of `channels`.
    pub(super) fn image(mut self, channels: u32, raw: &mut Vec<u8>) -> Result<Found, Problem> {
        self.check_image()?;
        self.read(channels, raw)?;
        if self.bits < 8 {
            let mut values = Vec::new();
            unpack(raw, self.bits, self.size, &mut values);
            let white = u32::from(u8::MAX) / ((1 << self.bits) - 1);
            values.iter_mut().for_each(|value| *value *= white as u8);
            *raw = values;
        }
        let wide = self.is_wide();
        if self.planar {
            *raw = interleaved(raw, self.colors.channels().into(), if wide { 2 } else { 1 });
        }
        let channels = self.colors.resolve(raw, wide);
        Ok(Found { size: self.size, channels, wide, format: ImageFormat::Tiff })
    }

    /// Decodes a mask into `ids`, with `raw` as work space.
    pub(super) fn mask(
        mut self,
        path: &Path,
        labels: &LabelTable,
        raw: &mut Vec<u8>,
        ids: &mut Vec<u8>,
    ) -> Result<[u32; 2], Error> {
        let mask = |problem: &str| Error::MaskFormat { path: path.into(), problem: problem.into() };
        let (size, place) = (self.size, Place { path, width: self.size[1] });
        if self.white_is_zero {
            return Err(mask(
                "is a TIFF in which 0 is white, and programs differ on what its numbers are: save it as PNG, or with \
                 0 as black",
            ));
        }
        if self.format == Format::Float {
            return Err(mask(
                "holds floating-point numbers, and labels are whole ones: save it as PNG, or with 8 or 16 bits",
            ));
        }
        self.read(1, raw).map_err(|problem| problem.of(path))?;
        match (self.colors, self.format, self.bits) {
            (Colors::Grey, Format::Unsigned, 1 | 2 | 4) => {
                unpack(raw, self.bits, size, ids);
                labels.translate(ids, labels.of_bits(self.bits), place)?;
            }
            (Colors::Grey, Format::Unsigned, 8) => {
                swap(raw, ids);
                labels.translate(ids, |value| Label::Value(value.into()), place)?;
            }
            (Colors::Grey | Colors::GreyAlpha, Format::Unsigned, 16) => {
                let values = raw.as_chunks().0.iter().map(|bytes| u16::from_ne_bytes(*bytes));
                labels.look_up(values.step_by(self.colors.channels().into()).map(Label::Value), ids, place)?;
            }
            (Colors::Grey, format, bits @ (8 | 16 | 32 | 64)) => {
                let bytes = usize::from(bits / 8);
                let values = raw.chunks_exact(bytes).map(|value| number(value, format == Format::Signed));
                labels.look_up_numbers(values, ids, place)?;
            }
            (_, Format::Unsigned, 8) if !self.planar => {
                let channels = self.colors.resolve(raw, false);
                of_bytes(channels, raw, labels, ids, place)?;
            }
            (_, Format::Unsigned, 16) => return Err(mask(WIDE_COLORS)),
            (_, _, bits) => {
                return Err(mask(&format!(
                    "is a TIFF of {bits}-bit numbers of a kind that no label has: save it as PNG"
                )));
            }
        }
        debug_assert_eq!(ids.len(), pixels(size));
        Ok(size)
    }
}

const RGB: &str = "save it with red, green and blue";
const SCALE: &str = "scale them to 8 bits and save them so (TIFF or PNG)";

fn refused(what: &str, to_do: &str) -> Problem {
    Problem::Refused(format!("is a TIFF {what}, which is not read: {to_do}"))
}

/// Reads an integer of 1, 2, 4 or 8 bytes in native byte order. One that does not fit an `i64` is clamped, to a value
/// that is no label either.
fn number(bytes: &[u8], signed: bool) -> i64 {
    match (bytes, signed) {
        (&[a], true) => i8::from_ne_bytes([a]).into(),
        (&[a, b], true) => i16::from_ne_bytes([a, b]).into(),
        (&[a, b, c, d], true) => i32::from_ne_bytes([a, b, c, d]).into(),
        (&[a, b, c, d], false) => u32::from_ne_bytes([a, b, c, d]).into(),
        (&[a, b, c, d, e, f, g, h], true) => i64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        (&[a, b, c, d, e, f, g, h], false) => {
            i64::try_from(u64::from_ne_bytes([a, b, c, d, e, f, g, h])).unwrap_or(i64::MAX)
        }
        _ => i64::MIN,
    }
}

/// Converts planar bands to interleaved pixels.
fn interleaved(bands: &[u8], channels: usize, bytes: usize) -> Vec<u8> {
    let band = bands.len() / channels;
    let pixel = |at: usize| (0..channels).flat_map(move |channel| &bands[channel * band + at..][..bytes]);
    (0..band).step_by(bytes).flat_map(pixel).copied().collect()
}

/// Converts an error of the crate `tiff`.
pub(super) fn of_tiff(source: TiffError) -> Problem {
    match source {
        TiffError::LimitsExceeded => Problem::Refused(
            "is a TIFF with parts that are larger than is read: save it in smaller strips or tiles".into(),
        ),
        TiffError::UnsupportedError(what) => Problem::Refused(format!(
            "is a TIFF of a kind that is not read ({what}): save it as PNG, or as a plain TIFF of 8 bits"
        )),
        TiffError::IoError(source) => source.into(),
        source => Problem::Image(failed(ImageFormat::Tiff, source)),
    }
}
