//! Shapes on a plane, with the units of a picture's pixels: what a picture is before it is a file.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};

/// A colour, without transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// A point; right and down from the upper left corner.
pub type Point = (f32, f32);

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// One shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A line through points.
    Line {
        /// At least two.
        points: Vec<Point>,
        /// Its colour.
        colour: Colour,
        /// How wide it is.
        width: f32,
        /// Whether it is broken into dashes.
        dashed: bool,
    },
    /// A filled polygon.
    Area {
        /// At least three.
        points: Vec<Point>,
        /// Its colour.
        colour: Colour,
    },
    /// A text on one line; its point is on the base line.
    Text {
        /// Where.
        at: Point,
        /// Which part of it is there.
        anchor: Anchor,
        /// The height of its letters.
        size: f32,
        /// Its colour.
        colour: Colour,
        /// What it says.
        text: String,
    },
}

/// A picture.
pub struct Scene {
    /// How wide.
    pub width: f32,
    /// How high.
    pub height: f32,
    /// For those who cannot see it.
    pub title: String,
    /// What is on it, the first at the back.
    pub shapes: Vec<Shape>,
}

/// The letters of pictures: DejaVu Sans, cut down to what charts need, so that a picture is the same on every machine.
/// Its licence is beside it.
const LETTERS: &[u8] = include_bytes!("../../../assets/DejaVuSans-subset.ttf");

/// The font of all pictures.
#[must_use]
pub fn font() -> Option<FontRef<'static>> {
    FontRef::try_from_slice(LETTERS).ok()
}

/// How wide a text is.
#[must_use]
pub fn width_of(text: &str, size: f32) -> f32 {
    // About right also without a font.
    let Some(font) = font() else { return size * 0.6 * text.chars().map(|_| 1.0).sum::<f32>() };
    let scaled = font.as_scaled(scale(&font, size));
    text.chars().map(|letter| scaled.h_advance(font.glyph_id(letter))).sum()
}

/// Sizes are those of the em square, as in SVG; the library's are those of a line.
#[must_use]
pub fn scale(font: &FontRef<'_>, size: f32) -> PxScale {
    let em = font.units_per_em().unwrap_or(2048.0);
    PxScale::from(size * font.height_unscaled() / em)
}
