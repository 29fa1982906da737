//! Plots as SVG, by hand: plain shapes, readable on a light and on a dark page.

use std::{fmt::Write, time::Duration};

const WIDTH: f64 = 860.0;
const COLOURS: [&str; 3] = ["#3b82c4", "#e08a2b", "#4c9a5b"];
const INK: &str = "#808080";

fn page(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"{INK}\">\n{body}</svg>\n"
    )
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>").expect("a string");
}

fn line(body: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let ends = format!("x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"");
    writeln!(body, "<line {ends} stroke=\"{INK}\" stroke-width=\"0.6\"/>").expect("a string");
}

/// Which model was in, from when to when.
pub type Stay = (usize, Duration, Duration);

/// Rows of which model was in from when to when.
pub fn stays(rows: &[(String, Vec<Stay>)], time: Duration) -> String {
    const ROW: f64 = 54.0;
    let (left, right) = (10.0, WIDTH - 10.0);
    let at = |moment: Duration| left + (right - left) * moment.as_secs_f64() / time.as_secs_f64();
    let mut body = String::new();
    for (n, (name, stays)) in rows.iter().enumerate() {
        let top = ROW * n as f64;
        text(&mut body, left, top + 18.0, "start", name);
        for (model, from, to) in stays {
            let (x, width) = (at(*from), (at(*to) - at(*from)).max(0.5));
            let colour = COLOURS[model % COLOURS.len()];
            let place = format!("x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"22\"", top + 25.0);
            writeln!(body, "<rect {place} fill=\"{colour}\"/>").expect("a string");
        }
    }
    let bottom = ROW * rows.len() as f64 + 4.0;
    line(&mut body, (left, bottom), (right, bottom));
    for tenth in 0..=6 {
        let x = at(time * tenth / 6);
        let anchor = if tenth == 0 {
            "start"
        } else if tenth == 6 {
            "end"
        } else {
            "middle"
        };
        text(&mut body, x, bottom + 17.0, anchor, &format!("{:.0} s", (time * tenth / 6).as_secs_f64()));
    }
    page(bottom + 26.0, &body)
}

/// Curves over one axis from zero on, which share the other one.
pub fn curves(axis: &str, curves: &[(&str, Vec<(f64, f64)>)]) -> String {
    let (left, right, top, bottom) = (50.0, WIDTH - 220.0, 15.0, 290.0);
    let points = || curves.iter().flat_map(|(_, points)| points);
    let most = |value: fn(&(f64, f64)) -> f64| points().map(value).fold(1.0, f64::max);
    let (width, height) = (most(|point| point.0), (most(|point| point.1) / 10.0).ceil() * 10.0);
    let place = |(x, y): (f64, f64)| (left + (right - left) * x / width, bottom - (bottom - top) * y / height);
    let mut body = String::new();
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let (_, y) = place((0.0, height * share));
        line(&mut body, (left, y), (right, y));
        text(&mut body, left - 8.0, y + 4.0, "end", &format!("{:.0}", height * share));
        let (x, _) = place((width * share, 0.0));
        text(&mut body, x, bottom + 18.0, "middle", &format!("{:.0}", width * share));
    }
    text(&mut body, f64::midpoint(left, right), bottom + 38.0, "middle", axis);
    for (n, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let path: Vec<String> =
            points.iter().map(|point| place(*point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        writeln!(body, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")
            .expect("a string");
        let (x, y) = points.last().map_or((right, top), |point| place(*point));
        writeln!(body, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", x + 8.0, y + 4.0)
            .expect("a string");
    }
    page(bottom + 48.0, &body)
}
