//! Whether memory grows while nobody uses it. Pure.
//!
//! Only what is added while idle counts: work may leave a cache behind, and that is no leak. So growth is summed up from
//! one idle sample to the next, over the time that was idle; where work lies in between, nothing is added. The window is
//! thinned to [`POINTS`], each of them the lowest of its part, and it grows for good if
//!
//! 1. at least two thirds of the window were idle, and a quarter of it long enough after any work,
//! 2. what it goes down to rises from quarter to quarter: one that goes back to where it was does not leak, however far it
//!    swings, and one step is a step and no slope,
//! 3. the slope is steep enough: the median of the slopes between all pairs of points (Theil-Sen: H. Theil, "A rank-invariant
//!    method of linear and polynomial regression analysis", 1950; P. K. Sen, JASA 63, 1968), which up to 29 % of points
//!    anywhere, and more of them when they lie to both sides, do not move far.
//!
//! One window holds at most [`POINTS`] + 2 points of 32 bytes. The third condition costs the square of the points and is
//! looked at only where the others hold; all of it once for each new point.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::level::{Change, Ladder, Reading};

/// Parts of the window, each of which leaves one point.
pub const POINTS: u32 = 120;
/// Fewer points than this are no course.
const FEWEST: usize = 5;
/// This share of the window must have been idle.
const IDLE: f64 = 2.0 / 3.0;
/// And this share of it must have been long enough after work.
const SETTLED: f64 = 0.25;
/// What comes and goes this soon after work belongs to the work, but at most a twentieth of the window.
const SETTLE: Duration = Duration::from_secs(15);

/// The growth of one figure.
#[derive(Debug)]
pub struct Growth {
    bytes: f64,
    within: Duration,
    start: Instant,
    /// When the last sample was taken: an idle one stands for the time since then.
    seen: Instant,
    /// Since when it is idle, and what it held at the last sample, once that has settled.
    idle: Option<Idle>,
    /// Seconds of idleness since the start, those of them that were settled, and bytes added in these.
    idle_for: f64,
    settled_for: f64,
    grown: f64,
    points: VecDeque<Point>,
    /// The part of the window that is not over, and its lowest point so far.
    open: Option<(u128, Point)>,
    ladder: Ladder,
}

#[derive(Debug, Clone, Copy)]
struct Idle {
    since: Instant,
    last: Option<(Instant, f64)>,
}

/// A point of the course: seconds since the start, seconds of idleness until then, seconds of it that were settled, and bytes
/// added in those.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: f64,
    idle: f64,
    x: f64,
    y: f64,
}

impl Growth {
    /// Looks for more than `bytes` within `within`.
    #[must_use]
    pub fn new(bytes: u64, within: Duration, start: Instant) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let bytes = bytes as f64;
        let (idle, points, open, ladder) = (None, VecDeque::new(), None, Ladder::default());
        Self {
            bytes,
            within,
            start,
            seen: start,
            idle,
            idle_for: 0.0,
            settled_for: 0.0,
            grown: 0.0,
            points,
            open,
            ladder,
        }
    }

    /// Whether it is what was asked for.
    #[must_use]
    pub fn is_for(&self, bytes: u64, within: Duration) -> bool {
        #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
        let same = self.bytes == bytes as f64;
        same && self.within == within
    }

    /// Notes what it holds, or `None` while it is used or was not measured.
    pub fn note(&mut self, at: Instant, held: Option<u64>) -> Change {
        let before = std::mem::replace(&mut self.seen, at);
        let Some(held) = held else {
            self.idle = None;
            return Change::Same;
        };
        #[allow(clippy::cast_precision_loss)]
        let held = held as f64;
        let idle = self.idle.get_or_insert(Idle { since: at, last: None });
        self.idle_for += at.saturating_duration_since(before).as_secs_f64();
        if at.saturating_duration_since(idle.since) < SETTLE.min(self.within / 20) {
            return Change::Same;
        }
        if let Some((before, last)) = idle.last.replace((at, held)) {
            self.settled_for += at.saturating_duration_since(before).as_secs_f64();
            self.grown += held - last;
        }
        let seconds = at.saturating_duration_since(self.start);
        let part = seconds.as_nanos() / (self.within / POINTS).as_nanos().max(1);
        let point = Point { at: seconds.as_secs_f64(), idle: self.idle_for, x: self.settled_for, y: self.grown };
        match &mut self.open {
            Some((open, lowest)) if *open == part => {
                if point.y < lowest.y {
                    *lowest = point;
                }
                Change::Same
            }
            open => {
                let closed = open.replace((part, point));
                self.points.extend(closed.map(|(_, point)| point));
                self.forget(point.at);
                self.judge()
            }
        }
    }

    /// Bytes within the window, at the pace of its course; `None` where too little is known or there is no such course.
    #[must_use]
    pub fn pace(&self) -> Option<f64> {
        if !self.is_known() {
            return None;
        }
        let course: Vec<(f64, f64)> = self.course().map(|point| (point.x, point.y)).collect();
        let pace = || theil_sen(&course).map(|slope| slope * self.within.as_secs_f64());
        if self.rises() { pace() } else { None }
    }

    /// Where it stands.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.ladder.level()
    }

    /// Points that are kept.
    #[cfg(test)]
    pub fn points(&self) -> usize {
        self.points.len() + usize::from(self.open.is_some())
    }

    fn judge(&mut self) -> Change {
        if !self.is_known() {
            return Change::Same;
        }
        let pace = self.pace().unwrap_or(0.0);
        self.ladder.step(Reading { reached: u8::from(pace > self.bytes), calm: pace < self.bytes / 2.0 })
    }

    fn forget(&mut self, now: f64) {
        let within = self.within.as_secs_f64();
        while self.points.front().is_some_and(|point| now - point.at > within) {
            self.points.pop_front();
        }
    }

    /// All points, the open one as the last.
    fn course(&self) -> impl Iterator<Item = Point> {
        self.points.iter().copied().chain(self.open.map(|(_, point)| point))
    }

    /// The first and the last point of the window.
    fn span(&self) -> Option<(Point, Point)> {
        Some((self.course().next()?, self.course().last()?))
    }

    fn is_known(&self) -> bool {
        let within = self.within.as_secs_f64();
        let is_covered = |(first, last): (Point, Point)| {
            last.idle - first.idle >= IDLE * within && last.x - first.x >= SETTLED * within
        };
        self.course().count() >= FEWEST && self.span().is_some_and(is_covered)
    }

    /// Whether what it goes down to rises: in no quarter below the one before, and twice by half of what a steady growth
    /// would add.
    fn rises(&self) -> bool {
        let Some((first, last)) = self.span().map(|(first, last)| (first.x, last.x)) else { return false };
        let mut floors = [f64::INFINITY; 4];
        for point in self.course() {
            let quarter = ((point.x - first) / (last - first) * 4.0).clamp(0.0, 3.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let floor = &mut floors[quarter as usize];
            *floor = floor.min(point.y);
        }
        if floors.iter().any(|floor| floor.is_infinite()) {
            return false;
        }
        let share = (last - first) / self.within.as_secs_f64();
        let rises = || floors.windows(2).map(|pair| pair[1] - pair[0]);
        rises().all(|rise| rise > -self.bytes / 16.0) && rises().filter(|r| *r >= self.bytes / 8.0 * share).count() >= 2
    }
}

/// The median of the slopes between all pairs of points with different abscissae; `None` if there is no such pair. Costs the
/// square of the number of points in time and memory.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(move |b| (a, b)));
    #[allow(clippy::float_cmp)]
    let mut slopes: Vec<f64> = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    if slopes.is_empty() {
        return None;
    }
    let middle = slopes.len() / 2;
    let (below, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    let median = *median;
    if below.len() * 2 + 1 == slopes.len() {
        return Some(median);
    }
    // An even number has two in the middle.
    let lower = slopes[..middle].iter().copied().max_by(f64::total_cmp).unwrap_or(median);
    Some(f64::midpoint(lower, median))
}
