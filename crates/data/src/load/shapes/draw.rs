//! Draws one picture of shapes: first decides which shape owns which pixel, then colours each pixel.
//!
//! A pixel belongs to a shape if its centre does: borders are crisp, so image and mask agree exactly. Shapes of the
//! same radius have equal areas, and colours are independent of the class, so only the outline reveals it.

use crate::load::{Sample, Target, pixels};
use crate::transform::random::Random;

/// Radii of the circles, as a share of the shorter side.
const RADIUS: [f32; 2] = [0.13, 0.22];
/// Half the side of a square with the area of the unit circle: sqrt(π) / 2.
const SQUARE: f32 = 0.886_226_9;
/// Distance of the sides from the centre of an equilateral triangle with the area of the unit circle:
/// sqrt(π / sqrt(27)).
const TRIANGLE: f32 = 0.777_557_6;
/// Minimum share of every shape that stays visible, whatever is drawn over it.
const VISIBLE: f32 = 0.75;
/// Number of tries to place a shape without hiding too much of another.
const PLACES: usize = 8;
/// Number of tries to find a colour that is far enough from the others, and that distance (in RGB, of 441).
const COLOURS: usize = 12;
const CONTRAST: f32 = 90.0;
/// Amplitudes of the shading across a picture, of its texture and of the noise of each pixel, of 255.
const SHADING: f32 = 14.0;
const TEXTURE: f32 = 14.0;
const NOISE: f32 = 9.0;

/// Draws two to five shapes on a ground of `[height, width]`.
pub(super) fn draw(random: &mut Random, size: [u32; 2]) -> Sample {
    let mut scene = Scene { size, owner: vec![0; pixels(size)], classes: vec![0], areas: vec![0], visible: vec![0] };
    for _ in 0..2 + random.below(4) {
        (0..PLACES).any(|_| scene.add(&Shape::random(random, size)));
    }
    let image = paint(random, &scene);
    let ids = scene.owner.iter().map(|owner| scene.classes[*owner as usize]).collect();
    Sample { size, image: image.into(), target: Target::Classes(ids) }
}

struct Shape {
    class: u8,
    /// Column and row of the centre, in pixels.
    centre: [f32; 2],
    /// Radius of the circle of the same area.
    radius: f32,
    /// Direction of one corner, or side.
    axis: [f32; 2],
}

impl Shape {
    fn random(random: &mut Random, [height, width]: [u32; 2]) -> Self {
        let class = 1 + random.below(3) as u8;
        let radius = height.min(width) as f32 * random.between(RADIUS[0], RADIUS[1]);
        // Close enough to the edge to be cut off in part, but never so much that the shape is in doubt.
        let margin = radius * 1.1;
        let mut place = |length: u32| random.between(margin, length as f32 - margin);
        let centre = [place(width), place(height)];
        Self { class, centre, radius, axis: random.direction() }
    }

    fn contains(&self, column: u32, row: u32) -> bool {
        let [x, y] = [column as f32 + 0.5 - self.centre[0], row as f32 + 0.5 - self.centre[1]];
        let [u, v] = [x * self.axis[0] + y * self.axis[1], y * self.axis[0] - x * self.axis[1]];
        match self.class {
            1 => u * u + v * v <= self.radius * self.radius,
            2 => u.abs().max(v.abs()) <= SQUARE * self.radius,
            // Three half-planes, 120 degrees apart; sqrt(3) / 2 = 0.866.
            _ => (-v).max(0.866_025_4 * u.abs() + 0.5 * v) <= TRIANGLE * self.radius,
        }
    }
}

/// Ownership of pixels. Owner 0 is the ground; its areas are not tracked.
struct Scene {
    size: [u32; 2],
    owner: Vec<u8>,
    classes: Vec<u8>,
    areas: Vec<u32>,
    visible: Vec<u32>,
}

impl Scene {
    /// Puts a shape on top of all others, unless that would hide too much of one. Returns whether it did.
    fn add(&mut self, shape: &Shape) -> bool {
        let [height, width] = self.size;
        // A triangle's corners reach furthest: twice the distance of its sides.
        let reach = 2.0 * TRIANGLE * shape.radius;
        let span = |centre: f32, end: u32| (centre - reach).max(0.0) as u32..((centre + reach) as u32 + 1).min(end);
        let columns = span(shape.centre[0], width);
        let covered: Vec<usize> = span(shape.centre[1], height)
            .flat_map(|row| columns.clone().map(move |column| (row, column)))
            .filter(|&(row, column)| shape.contains(column, row))
            .map(|(row, column)| row as usize * width as usize + column as usize)
            .collect();
        let mut visible = self.visible.clone();
        for &place in &covered {
            let owner = self.owner[place] as usize;
            visible[owner] = visible[owner].saturating_sub(1);
        }
        let hidden = visible.iter().zip(&self.areas).any(|(left, area)| (*left as f32) < VISIBLE * *area as f32);
        if hidden || covered.is_empty() {
            return false;
        }
        for &place in &covered {
            self.owner[place] = self.classes.len() as u8;
        }
        self.visible = visible;
        self.visible.push(covered.len() as u32);
        self.areas.push(covered.len() as u32);
        self.classes.push(shape.class);
        true
    }
}

/// Colouring of the ground or of a shape.
struct Coat {
    colour: [f32; 3],
    /// Change of brightness per pixel to the right and down.
    slope: [f32; 2],
    /// Strength of the texture.
    texture: f32,
}

fn paint(random: &mut Random, scene: &Scene) -> Vec<u8> {
    let [height, width] = scene.size;
    let longer = height.max(width) as f32;
    let mut coats: Vec<Coat> = Vec::with_capacity(scene.classes.len());
    for _ in &scene.classes {
        let colour = contrasting(random, &coats);
        let shading = random.between(0.0, SHADING) * 2.0 / longer;
        let slope = random.direction().map(|part| part * shading);
        coats.push(Coat { colour, slope, texture: random.between(-TEXTURE, TEXTURE) });
    }
    let texture = Texture::random(random, scene.size);
    let brightness = random.between(0.6, 1.1);
    let mut image = Vec::with_capacity(scene.owner.len() * 3);
    let mut owners = scene.owner.iter();
    for row in 0..height {
        for (column, owner) in (0..width).zip(&mut owners) {
            let coat = &coats[*owner as usize];
            let [x, y] = [column as f32 - width as f32 / 2.0, row as f32 - height as f32 / 2.0];
            let light = coat.slope[0] * x + coat.slope[1] * y + coat.texture * texture.at(column, row);
            let bytes = random.bits().to_le_bytes();
            for (colour, byte) in coat.colour.iter().zip(bytes) {
                let noise = (f32::from(byte) / 127.5 - 1.0) * NOISE;
                // The conversion to an integer clamps values to 0 and 255.
                image.push(((colour + light) * brightness + noise + 0.5) as u8);
            }
        }
    }
    image
}

/// Returns a random colour that contrasts with those of `coats`; the best of several tries if none is far enough.
fn contrasting(random: &mut Random, coats: &[Coat]) -> [f32; 3] {
    let mut best = ([0.0; 3], -1.0);
    for _ in 0..COLOURS {
        let colour = [(); 3].map(|()| random.between(25.0, 230.0));
        let squares = |coat: &Coat| coat.colour.iter().zip(&colour).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let nearest = coats.iter().map(squares).fold(f32::INFINITY, f32::min);
        if nearest > best.1 {
            best = (colour, nearest);
        }
        if nearest >= CONTRAST * CONTRAST {
            break;
        }
    }
    best.0
}

/// Value noise: random numbers from -1 to 1 on a coarse grid, smoothly filled in between.
struct Texture {
    /// Side of a cell of the grid, in pixels.
    cell: u32,
    columns: usize,
    values: Vec<f32>,
}

impl Texture {
    fn random(random: &mut Random, [height, width]: [u32; 2]) -> Self {
        let cell = 2 + random.below(u64::from(height.min(width)) / 6) as u32;
        let [rows, columns] = [height, width].map(|length| (length / cell + 2) as usize);
        Self { cell, columns, values: (0..rows * columns).map(|_| random.between(-1.0, 1.0)).collect() }
    }

    fn at(&self, column: u32, row: u32) -> f32 {
        // Fractions of a cell, bent by 3t² - 2t³ so that the grid's lines do not show.
        let [x, y] = [column, row].map(|place| {
            let t = (place % self.cell) as f32 / self.cell as f32;
            t * t * (3.0 - 2.0 * t)
        });
        let corner = (row / self.cell) as usize * self.columns + (column / self.cell) as usize;
        let along = |start: usize| self.values[start] + (self.values[start + 1] - self.values[start]) * x;
        let (above, below) = (along(corner), along(corner + self.columns));
        above + (below - above) * y
    }
}
