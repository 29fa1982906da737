//! What a row of liveness tries amounts to. Pure.

/// What one more try means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing new.
    Same,
    /// It failed for the first time in a row.
    Lost,
    /// It answers again.
    Back,
    /// It failed too often in a row.
    Dead,
}

/// Failures in a row.
#[derive(Debug, Clone)]
pub struct Pulses {
    allowed: u32,
    failures: u32,
}

impl Pulses {
    /// Dead at `allowed` failures in a row; 0 counts as 1.
    #[must_use]
    pub fn new(allowed: u32) -> Self {
        Self { allowed: allowed.max(1), failures: 0 }
    }

    /// As after one failure that has been told: the next answer counts as [`Pulse::Back`].
    #[must_use]
    pub fn after_a_failure(allowed: u32) -> Self {
        Self { failures: 1, ..Self::new(allowed) }
    }

    /// Notes a try.
    pub fn note(&mut self, answered: bool) -> Pulse {
        if answered {
            return if std::mem::take(&mut self.failures) > 0 { Pulse::Back } else { Pulse::Same };
        }
        self.failures += 1;
        match self.failures {
            n if n >= self.allowed => Pulse::Dead,
            1 => Pulse::Lost,
            _ => Pulse::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_are_deadly() {
        let mut pulses = Pulses::new(3);
        let tries = [true, false, true, false, false, false].map(|answered| pulses.note(answered));
        assert_eq!(tries, [Pulse::Same, Pulse::Lost, Pulse::Back, Pulse::Lost, Pulse::Same, Pulse::Dead]);
        assert_eq!(Pulses::new(0).note(false), Pulse::Dead);
    }
}
