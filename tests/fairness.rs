//! What the fairness promises of traffic, simulated over the real admission: a minute takes no time.

#[path = "bench/fairness/mixes.rs"]
mod mixes;
#[path = "bench/fairness/town.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod town;

use std::time::Duration;

use mixes::{MINUTE, ms};
use town::STOP;

const FAIRNESS: Duration = Duration::from_secs(10);

#[test]
fn two_clients_without_pause_cause_a_fifth_of_the_swaps_at_most_and_nobody_waits_past_the_bound() {
    let mix = mixes::two_clients();
    let first_come = town::run(&mix, Duration::ZERO, MINUTE, 1);
    let fair = town::run(&mix, FAIRNESS, MINUTE, 1);
    assert!(first_come.swaps > 40, "{} swaps", first_come.swaps);
    assert!(fair.swaps >= 4 && fair.swaps * 5 <= first_come.swaps, "{} of {}", fair.swaps, first_come.swaps);
    assert!(fair.answered > 2 * first_come.answered, "{} and {}", fair.answered, first_come.answered);
    // The drain is an answer; another load is that of the one who was due before.
    let bound = FAIRNESS + 2 * (ms(200) + STOP + ms(1000));
    let longest = fair.wait(None, 100);
    assert!(longest <= bound, "{longest:?}");
}

#[test]
fn one_request_in_a_flood_for_another_model_is_served_within_fairness_drain_and_load() {
    for fairness in [ms(0), ms(1000), FAIRNESS] {
        let outcome = town::run(&mixes::flood(), fairness, MINUTE, 1);
        let waits: Vec<Duration> =
            outcome.waits.iter().filter(|(model, _)| *model == 1).map(|(_, wait)| *wait).collect();
        assert_eq!(waits.len(), 3, "{waits:?}");
        for wait in waits {
            assert!(wait <= fairness + ms(200) + STOP + ms(1000), "{wait:?} with {fairness:?}");
        }
    }
}

#[test]
fn who_waits_for_nobody_is_not_made_to_wait() {
    // The one who changes its mind leaves the model idle that it used, so the other one has it at once.
    let mix = mixes::undecided();
    let (first_come, fair) = (town::run(&mix, Duration::ZERO, MINUTE, 1), town::run(&mix, FAIRNESS, MINUTE, 1));
    assert!(fair.answered * 10 >= first_come.answered * 9, "{} and {}", fair.answered, first_come.answered);
    assert!(fair.wait(None, 100) < ms(3000), "{:?}", fair.wait(None, 100));
}

#[test]
fn nobody_waits_past_the_bound_when_requests_come_by_chance() {
    for seed in 0..10 {
        for (mix, models) in [(mixes::by_chance(), 2), (mixes::three(), 3), (mixes::seldom(), 2)] {
            let longest = town::run(&mix, FAIRNESS, MINUTE, seed).wait(None, 100);
            let bound = FAIRNESS + models * (ms(100) + STOP + ms(1000)) + ms(100) + STOP;
            assert!(longest <= bound, "seed {seed}, {}: {longest:?}", mix.name);
        }
    }
}
