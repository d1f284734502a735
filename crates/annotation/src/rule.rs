//! Rasterising as the tools do: one polygon has three masks.

pub(crate) mod coco;
pub(crate) mod opencv;
pub(crate) mod pillow;
pub(crate) mod pillow_shapes;

/// Tool whose pixels a polygon gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// COCO's `maskApi`: the boundary on a grid five times as fine.
    Coco,
    /// Pillow's `ImageDraw.polygon(outline=1, fill=1)`, as LabelMe calls it: the outline's pixels are included.
    Pillow,
    /// OpenCV's `fillPoly` on truncated coordinates, as Ultralytics' `polygon2mask` calls it.
    OpenCv,
}
