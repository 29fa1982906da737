//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Pure.

use std::fmt::Write as _;

use crate::runtime::metrics::Reading;

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels with their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page on its way.
#[derive(Debug, Default)]
pub struct Page(String);

/// The figures of one name, which stand together.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Page {
    /// Begins the figures of one name.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
        Family { page: self, name }
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }
}

impl Family<'_> {
    /// A whole number.
    pub fn whole(&mut self, labels: Labels<'_>, value: u64) {
        self.page.line(format_args!("{}{} {value}", self.name, Braced(labels, None)));
    }

    /// A number that need not be whole.
    pub fn number(&mut self, labels: Labels<'_>, value: f64) {
        self.page.line(format_args!("{}{} {value}", self.name, Braced(labels, None)));
    }

    /// A histogram, in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, reading: &Reading) {
        for (bound, count) in &reading.buckets {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.page.line(format_args!("{}_bucket{} {count}", self.name, Braced(labels, Some(&bound))));
        }
        self.page.line(format_args!("{}_sum{} {}", self.name, Braced(labels, None), reading.sum));
        self.page.line(format_args!("{}_count{} {}", self.name, Braced(labels, None), reading.count()));
    }
}

/// Labels as they stand behind a name, with the bound of a bucket where there is one.
struct Braced<'a>(Labels<'a>, Option<&'a str>);

impl std::fmt::Display for Braced<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = self.1.map(|bound| ("le", bound));
        let mut sign = '{';
        for (name, value) in self.0.iter().copied().chain(bound) {
            write!(f, "{sign}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
            sign = ',';
        }
        if sign == ',' { f.write_char('}') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_values_stand_as_the_format_wants_them() {
        let mut page = Page::default();
        let mut family = page.family("a_total", Kind::Counter, "what\nit is");
        family.whole(&[], 1);
        family.whole(&[("x", "plain"), ("y", "a \"b\" \\ c\nd")], 2);
        let text = page.finish();
        let lines: Vec<&str> = text.lines().collect();
        let told = [
            "# HELP a_total what\\nit is",
            "# TYPE a_total counter",
            "a_total 1",
            "a_total{x=\"plain\",y=\"a \\\"b\\\" \\\\ c\\nd\"} 2",
        ];
        assert_eq!(lines, told);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let mut page = Page::default();
        let reading = Reading { buckets: vec![(0.5, 1), (f64::INFINITY, 3)], sum: 7.25 };
        page.family("t_seconds", Kind::Histogram, "t").histogram(&[("model", "m")], &reading);
        let text = page.finish();
        let told = "# HELP t_seconds t\n# TYPE t_seconds histogram\nt_seconds_bucket{model=\"m\",le=\"0.5\"} 1\n\
                    t_seconds_bucket{model=\"m\",le=\"+Inf\"} 3\nt_seconds_sum{model=\"m\"} 7.25\n\
                    t_seconds_count{model=\"m\"} 3\n";
        assert_eq!(text, told);
    }
}
