//! A scene as PNG: the same shapes as pixels, twice as fine as the scene, for screens that are.

use ab_glyph::{Font, ScaleFont};
use tiny_skia::{FillRule, LineJoin, Paint, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};

use super::shapes::{self, Anchor, Colour, Point, Scene, Shape};

/// Pixels per unit of the scene.
const FINENESS: f32 = 2.0;

/// The file.
///
/// # Errors
/// When there is not the memory for it.
pub fn bytes(scene: &Scene) -> Result<Vec<u8>, String> {
    let pixels = |length: f32| (length * FINENESS).ceil() as u32;
    let no_memory = || "there is not enough memory for a picture of this size".to_owned();
    let mut pixmap = Pixmap::new(pixels(scene.width), pixels(scene.height)).ok_or_else(no_memory)?;
    pixmap.fill(tiny_skia::Color::WHITE);
    for shape in &scene.shapes {
        draw(shape, &mut pixmap);
    }
    encoded(&pixmap).map_err(|error| format!("the picture cannot be written as PNG: {error}"))
}

/// Without transparency and well compressed: a tenth of what the quickest way makes.
fn encoded(pixmap: &Pixmap) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixmap.width(), pixmap.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Best);
    encoder.set_filter(png::FilterType::Up);
    let mut writer = encoder.write_header()?;
    let pixels: Vec<u8> = pixmap.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn draw(shape: &Shape, pixmap: &mut Pixmap) {
    let finer = Transform::from_scale(FINENESS, FINENESS);
    match shape {
        Shape::Line { points, colour, width, dashed } => {
            let Some(path) = path(points, false) else { return };
            let dash = if *dashed { StrokeDash::new(vec![6.0, 4.0], 0.0) } else { None };
            let stroke = Stroke { width: *width, line_join: LineJoin::Round, dash, ..Stroke::default() };
            pixmap.stroke_path(&path, &paint(*colour), &stroke, finer, None);
        }
        Shape::Area { points, colour } => {
            let Some(path) = path(points, true) else { return };
            pixmap.fill_path(&path, &paint(*colour), FillRule::Winding, finer, None);
        }
        Shape::Text { at, anchor, size, colour, text } => letters(*at, *anchor, *size, *colour, text, pixmap),
    }
}

fn path(points: &[Point], is_closed: bool) -> Option<tiny_skia::Path> {
    let mut builder = PathBuilder::new();
    let (first, others) = points.split_first()?;
    builder.move_to(first.0, first.1);
    others.iter().for_each(|point| builder.line_to(point.0, point.1));
    if is_closed {
        builder.close();
    }
    builder.finish()
}

fn paint(Colour(red, green, blue): Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, 255);
    paint.anti_alias = true;
    paint
}

fn letters((x, y): Point, anchor: Anchor, size: f32, colour: Colour, text: &str, pixmap: &mut Pixmap) {
    let Some(font) = shapes::font() else { return };
    let scale = shapes::scale(&font, size * FINENESS);
    let scaled = font.as_scaled(scale);
    let before = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => 0.5,
        Anchor::End => 1.0,
    };
    let mut pen = (x - before * shapes::width_of(text, size)) * FINENESS;
    for letter in text.chars() {
        let id = font.glyph_id(letter);
        let glyph = id.with_scale_and_position(scale, ab_glyph::point(pen, y * FINENESS));
        pen += scaled.h_advance(id);
        if let Some(outline) = font.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            #[expect(clippy::cast_possible_truncation, reason = "some thousand pixels")]
            let (left, top) = (corner.x as i32, corner.y as i32);
            outline.draw(|column, row, coverage| {
                let place = (left + i32::try_from(column).unwrap_or(0), top + i32::try_from(row).unwrap_or(0));
                blend(pixmap, place, colour, coverage);
            });
        }
    }
}

/// One pixel of a letter, on whatever is below it.
fn blend(pixmap: &mut Pixmap, (x, y): (i32, i32), Colour(red, green, blue): Colour, coverage: f32) {
    let (width, height) = (pixmap.width(), pixmap.height());
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if x >= width || y >= height {
        return;
    }
    let index = (y * width + x) as usize;
    let Some(pixel) = pixmap.pixels_mut().get_mut(index) else { return };
    let coverage = coverage.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    let mixed =
        |below: u8, above: u8| (f32::from(below) * (1.0 - coverage) + f32::from(above) * coverage).round() as u8;
    let (red, green, blue) = (mixed(pixel.red(), red), mixed(pixel.green(), green), mixed(pixel.blue(), blue));
    if let Some(mixed) = tiny_skia::PremultipliedColorU8::from_rgba(red, green, blue, 255) {
        *pixel = mixed;
    }
}
