//! What is simulated: a minute of each.

use std::time::Duration;

use crate::town::{Clients, Mix};

pub const MINUTE: Duration = Duration::from_secs(60);

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two clients without pause, one for each of two models that load in a second.
pub fn two_clients() -> Mix {
    let client = |model| Clients::WithoutPause { count: 1, models: vec![model], answer: ms(200) };
    mix("two clients without pause, one for each model", 2, vec![client(0), client(1)])
}

/// The same, each of them changing its mind at every turn.
pub fn undecided() -> Mix {
    let client = |models| Clients::WithoutPause { count: 1, models, answer: ms(200) };
    mix("two clients, each alternating between the models", 2, vec![client(vec![0, 1]), client(vec![1, 0])])
}

/// Eight clients flood one model; every 20 s there is a request for the other one.
pub fn flood() -> Mix {
    let flood = Clients::WithoutPause { count: 8, models: vec![0], answer: ms(200) };
    let single = Clients::Regular { model: 1, every: ms(20_000), answer: ms(200) };
    mix("eight clients flood A, one request for B every 20 s", 2, vec![flood, single])
}

/// Requests by chance.
pub fn by_chance() -> Mix {
    mix("by chance: A four times a second, B once", 2, vec![chance(0, 250), chance(1, 1000)])
}

/// The same with three models.
pub fn three() -> Mix {
    let clients = vec![chance(0, 330), chance(1, 1000), chance(2, 5000)];
    mix("by chance: A three times a second, B once, C every 5 s", 3, clients)
}

/// So few that the models are mostly idle.
pub fn seldom() -> Mix {
    mix("by chance: A and B every 5 s each", 2, vec![chance(0, 5000), chance(1, 5000)])
}

fn chance(model: usize, every: u64) -> Clients {
    Clients::ByChance { model, every: ms(every), answer: ms(100) }
}

fn mix(name: &'static str, models: usize, clients: Vec<Clients>) -> Mix {
    Mix { name, loads: vec![ms(1000); models], clients }
}
