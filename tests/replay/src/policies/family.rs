//! The fixed delays as one line: what a knob could have had for the same cost.
//!
//! Each policy costs CPU time and leaves memory resident, and there is no rate
//! at which one buys the other. So a policy is held against the family of fixed
//! delays at equal CPU time: along the family's points, sorted by CPU time, with
//! *never* as the end that costs nothing, and straight lines between.

/// What a policy costs, and what it leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// CPU time in milliseconds.
    pub cpu_ms: f64,
    /// Memory resident above what lives, in GiB·s.
    pub above: f64,
}

impl Point {
    /// Returns whether this is no worse than `other` in both, and better in one.
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        self.cpu_ms <= other.cpu_ms
            && self.above <= other.above
            && (self.cpu_ms < other.cpu_ms || self.above < other.above)
    }
}

/// The points of the family.
#[derive(Clone, Debug, Default)]
pub struct Family(Vec<Point>);

impl Family {
    /// Sorts the points of a family.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        let mut points: Vec<_> = points.into_iter().collect();
        points.sort_by(|one, other| {
            let by_cpu = one.cpu_ms.total_cmp(&other.cpu_ms);
            by_cpu.then(other.above.total_cmp(&one.above))
        });
        Self(points)
    }

    /// Returns the points, by CPU time.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.0
    }

    /// Returns what the family leaves for so much CPU time; beyond its dearest
    /// point, what that one leaves.
    #[must_use]
    pub fn at(&self, cpu_ms: f64) -> Option<f64> {
        let next = self.0.partition_point(|point| point.cpu_ms <= cpu_ms);
        match (
            next.checked_sub(1).map(|last| self.0[last]),
            self.0.get(next),
        ) {
            (Some(last), Some(next)) => {
                let part = (cpu_ms - last.cpu_ms) / (next.cpu_ms - last.cpu_ms);
                Some(last.above + part * (next.above - last.above))
            }
            (Some(end), None) => Some(end.above),
            (None, first) => first.map(|first| first.above),
        }
    }

    /// Returns what a policy leaves as a part of what the family does for the
    /// same CPU time.
    #[must_use]
    pub fn ratio(&self, point: &Point) -> Option<f64> {
        let family = self.at(point.cpu_ms)?;
        (family > 0.0).then(|| point.above / family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn point(cpu_ms: f64, above: f64) -> Point {
        Point { cpu_ms, above }
    }

    #[test]
    fn between_two_points_the_line_is_straight_and_beyond_the_last_it_is_level() {
        let family = Family::new([point(40.0, 2.0), point(0.0, 10.0), point(10.0, 4.0)]);
        for (cpu_ms, above) in [
            (0.0, 10.0),
            (5.0, 7.0),
            (10.0, 4.0),
            (25.0, 3.0),
            (99.0, 2.0),
        ] {
            assert_eq!(family.at(cpu_ms), Some(above), "{cpu_ms}");
        }
        assert_eq!(family.ratio(&point(25.0, 1.5)), Some(0.5));
        assert_eq!(Family::default().at(1.0), None);
    }

    #[test]
    fn of_several_points_of_one_cost_the_best_counts() {
        let family = Family::new([point(10.0, 3.0), point(10.0, 5.0), point(0.0, 9.0)]);
        assert_eq!(family.at(10.0), Some(3.0));
    }

    #[test]
    fn to_beat_is_to_be_no_worse_in_both_and_better_in_one() {
        let one = point(1.0, 1.0);
        assert!(one.beats(&point(1.0, 2.0)) && one.beats(&point(2.0, 1.0)));
        assert!(!one.beats(&one) && !one.beats(&point(0.5, 2.0)));
    }
}
