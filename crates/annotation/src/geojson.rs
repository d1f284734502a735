//! Areas as GeoJSON, in pixels or in the coordinates of a map.

use crate::outline::{Area, Polygon};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Areas as a GeoJSON `FeatureCollection`: give it to `serde_json::to_writer`, which writes one feature at a time.
///
/// Each feature has the properties `class`, `name` and `area`. Its geometry is a `Polygon`, or a `MultiPolygon` for an
/// area of several polygons. Outer rings run counterclockwise in the written coordinates, holes clockwise.
///
/// RFC 7946 knows WGS 84 longitudes and latitudes only. Other coordinates carry the older `crs` member of GeoJSON 2008,
/// which GDAL and QGIS read; without it, programs take what they find for degrees.
#[derive(Clone, Copy, Debug)]
pub struct FeatureCollection<'a> {
    /// Areas to write.
    pub areas: &'a [Area],
    /// Name of each class by its id; a class without one gets `null`.
    pub names: &'a [String],
    /// GDAL's geotransform: `x = t[0] + t[1] column + t[2] row`, `y = t[3] + t[4] column + t[5] row`. Coordinates stay
    /// in pixels without one.
    pub affine: Option<[f64; 6]>,
    /// Name of the coordinate reference system, such as `urn:ogc:def:crs:EPSG::32633`.
    pub crs: Option<&'a str>,
}

impl FeatureCollection<'_> {
    /// Returns the written position of a pixel's corner.
    fn position(&self, [x, y]: [u32; 2]) -> [f64; 2] {
        let [x, y] = [x, y].map(f64::from);
        match self.affine {
            Some(t) => [t[0] + t[1] * x + t[2] * y, t[3] + t[4] * x + t[5] * y],
            None => [x, y],
        }
    }

    /// Returns the signed area of a pixel in squares of the written unit.
    fn pixel(&self) -> f64 {
        self.affine.map_or(1.0, |t| t[1] * t[5] - t[2] * t[4])
    }

    fn polygon(&self, polygon: &Polygon) -> Vec<Vec<[f64; 2]>> {
        let ring = |ring: &Vec<[u32; 2]>| {
            let mut points: Vec<[f64; 2]> = ring.iter().map(|&point| self.position(point)).collect();
            points.extend(points.first().copied());
            if self.pixel() < 0.0 {
                points.reverse();
            }
            points
        };
        polygon.rings().map(ring).collect()
    }
}

impl Serialize for FeatureCollection<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "FeatureCollection")?;
        if let Some(name) = self.crs {
            map.serialize_entry("crs", &Crs { kind: "name", properties: Name { name } })?;
        }
        map.serialize_entry("features", &Features(self))?;
        map.end()
    }
}

#[derive(Serialize)]
struct Crs<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    properties: Name<'a>,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

struct Features<'a>(&'a FeatureCollection<'a>);

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.areas.iter().map(|area| {
            let polygons: Vec<_> = area.polygons.iter().map(|polygon| self.0.polygon(polygon)).collect();
            let pixels = area.polygons.iter().map(Polygon::area).sum::<f64>();
            let geometry = match <[_; 1]>::try_from(polygons) {
                Ok([coordinates]) => Geometry::Polygon { coordinates },
                Err(coordinates) => Geometry::MultiPolygon { coordinates },
            };
            let name = self.0.names.get(usize::from(area.class)).map(String::as_str);
            let properties = Properties { class: area.class, name, area: pixels * self.0.pixel().abs() };
            Feature { kind: "Feature", properties, geometry }
        }))
    }
}

#[derive(Serialize)]
struct Feature<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    properties: Properties<'a>,
    geometry: Geometry,
}

#[derive(Serialize)]
struct Properties<'a> {
    class: u8,
    name: Option<&'a str>,
    area: f64,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Geometry {
    Polygon { coordinates: Vec<Vec<[f64; 2]>> },
    MultiPolygon { coordinates: Vec<Vec<Vec<[f64; 2]>>> },
}
