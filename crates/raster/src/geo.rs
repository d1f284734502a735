//! Place of an image on earth, as GeoTIFF stores it (OGC 19-008r4).

/// Numbers of GeoTIFF's tags.
pub(crate) mod tag {
    pub(crate) const SCALE: u16 = 33_550;
    pub(crate) const TIE_POINTS: u16 = 33_922;
    pub(crate) const MATRIX: u16 = 34_264;
    pub(crate) const DIRECTORY: u16 = 34_735;
    pub(crate) const DOUBLES: u16 = 34_736;
    pub(crate) const TEXT: u16 = 34_737;
}

/// Keys of the raster type, and of the projected and the geographic reference system.
const RASTER_TYPE: u16 = 1025;
const PROJECTED: u16 = 3072;
const GEOGRAPHIC: u16 = 2048;

/// Value of a reference system that the other keys describe.
const USER_DEFINED: u16 = 32_767;

/// GeoTIFF's keys, as they were stored.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoKeys {
    /// Tag `GeoKeyDirectory`: four numbers a key, after four of the directory itself.
    pub directory: Vec<u16>,
    /// Tag `GeoDoubleParams`.
    pub doubles: Vec<f64>,
    /// Tag `GeoAsciiParams`, with the 0 at its end.
    pub text: Vec<u8>,
}

impl GeoKeys {
    /// Returns the value of a key that is a short number.
    fn short(&self, key: u16) -> Option<u16> {
        let entries = self.directory.get(4..)?.as_chunks::<4>().0;
        entries.iter().find(|[id, tag, ..]| *id == key && *tag == 0).map(|[.., value]| *value)
    }
}

/// Place of an image on earth.
#[derive(Debug, Clone, PartialEq)]
pub struct Geo {
    /// Affine transform in GDAL's order, of pixel corners: `x = t[0] + column·t[1] + row·t[2]`,
    /// `y = t[3] + column·t[4] + row·t[5]`. The corner of the first pixel is row 0, column 0, also in files that give
    /// the centres of pixels.
    pub transform: [f64; 6],
    /// Keys of the coordinate reference system, to be written again as they are.
    pub keys: Option<GeoKeys>,
    /// EPSG code of the reference system, if the keys say one.
    pub epsg: Option<u32>,
}

impl Geo {
    /// Creates the place that the values of GeoTIFF's tags say; none without a transform.
    pub(crate) fn of_tags(
        scale: Option<&[f64]>,
        tie: Option<&[f64]>,
        matrix: Option<&[f64]>,
        keys: Option<GeoKeys>,
    ) -> Option<Self> {
        let mut transform = match (scale, tie, matrix) {
            (Some([across, down, ..]), Some([column, row, _, x, y, _]), _) if *across != 0.0 && *down != 0.0 => {
                // GDAL: rows go south, whatever the sign.
                let (across, down) = (*across, -down.abs());
                [x - column * across, across, 0.0, y - row * down, 0.0, down]
            }
            (_, _, Some([a, b, _, x, d, e, _, y, ..])) => [*x, *a, *b, *y, *d, *e],
            _ => return None,
        };
        if keys.as_ref().is_some_and(Self::is_point) {
            transform = shifted(transform, -0.5);
        }
        let epsg = keys.as_ref().and_then(|keys| {
            let system = keys.short(PROJECTED).or_else(|| keys.short(GEOGRAPHIC));
            system.filter(|code| *code != USER_DEFINED && *code != 0).map(u32::from)
        });
        transform.iter().all(|number| number.is_finite()).then_some(Self { transform, keys, epsg })
    }

    /// Creates a place in the reference system of an EPSG code up to 32,766.
    ///
    /// Codes of geographic systems (longitude and latitude) are those from 4,000 to 4,999; others count as projected.
    pub fn of_epsg(transform: [f64; 6], epsg: u16) -> Self {
        let geographic = (4000..5000).contains(&epsg);
        let (model, key) = if geographic { (2, GEOGRAPHIC) } else { (1, PROJECTED) };
        let directory = vec![1, 1, 0, 3, 1024, 0, 1, model, RASTER_TYPE, 0, 1, 1, key, 0, 1, epsg];
        let keys = GeoKeys { directory, doubles: Vec::new(), text: Vec::new() };
        Self { transform, keys: Some(keys), epsg: Some(epsg.into()) }
    }

    /// Returns the coordinates of a place in pixels: (0, 0) is the corner of the first one.
    pub fn at(&self, row: f64, column: f64) -> [f64; 2] {
        let [x, xc, xr, y, yc, yr] = self.transform;
        [x + column * xc + row * xr, y + column * yc + row * yr]
    }

    /// Returns the place of the window at `top_left` (row, column), whose pixels are `scale` times as high and as wide
    /// as those of the image.
    pub fn window(&self, top_left: [f64; 2], scale: [f64; 2]) -> Self {
        let [x, y] = self.at(top_left[0], top_left[1]);
        let [_, xc, xr, _, yc, yr] = self.transform;
        let [down, across] = scale;
        Self { transform: [x, xc * across, xr * down, y, yc * across, yr * down], ..self.clone() }
    }

    /// Returns the values of the tags of scale and tie point, or of the matrix where rows or columns are not along the
    /// axes.
    pub(crate) fn tags(&self) -> Vec<(u16, Vec<f64>)> {
        let points = self.keys.as_ref().is_some_and(Self::is_point);
        let [x, xc, xr, y, yc, yr] = if points { shifted(self.transform, 0.5) } else { self.transform };
        if xr == 0.0 && yc == 0.0 && yr < 0.0 {
            return vec![(tag::SCALE, vec![xc, -yr, 0.0]), (tag::TIE_POINTS, vec![0.0, 0.0, 0.0, x, y, 0.0])];
        }
        vec![(tag::MATRIX, vec![xc, xr, 0.0, x, yc, yr, 0.0, y, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])]
    }

    /// Returns whether the stored coordinates are those of the centres of pixels.
    fn is_point(keys: &GeoKeys) -> bool {
        keys.short(RASTER_TYPE) == Some(2)
    }
}

/// Moves the origin along the diagonal, by `pixels`.
fn shifted([x, xc, xr, y, yc, yr]: [f64; 6], pixels: f64) -> [f64; 6] {
    [x + pixels * (xc + xr), xc, xr, y + pixels * (yc + yr), yc, yr]
}

#[cfg(test)]
mod tests {
    use super::Geo;

    #[test]
    fn a_window_lies_where_its_pixels_lie() {
        let geo = Geo::of_epsg([500_000.0, 10.0, 0.0, 4_100_000.0, 0.0, -10.0], 32_633);
        let window = geo.window([20.0, 30.0], [2.0, 4.0]);
        assert_eq!(window.transform, [500_300.0, 40.0, 0.0, 4_099_800.0, 0.0, -20.0]);
        assert_eq!(window.at(1.0, 1.0), geo.at(22.0, 34.0));
        assert_eq!(window.epsg, Some(32_633));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for transform in
            [[1.0, 0.5, 0.0, 2.0, 0.0, -0.25], [1.0, 0.5, 0.1, 2.0, -0.1, -0.25], [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]]
        {
            for (epsg, point) in [(4326, false), (32_633, true)] {
                let mut geo = Geo::of_epsg(transform, epsg);
                if point && let Some(keys) = &mut geo.keys {
                    keys.directory[11] = 2;
                }
                let tags = geo.tags();
                let tag = |number| tags.iter().find(|(tag, _)| *tag == number).map(|(_, values)| values.as_slice());
                let again = Geo::of_tags(tag(33_550), tag(33_922), tag(34_264), geo.keys.clone());
                assert_eq!(again.as_ref(), Some(&geo));
            }
        }
    }
}
