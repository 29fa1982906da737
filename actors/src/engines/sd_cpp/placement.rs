//! What of a picture's model is kept on the host where a card is tight, and how that is said. Pure.
//!
//! What the user has said wins: a key of the configuration, and whatever stands in the command. Otherwise the *headroom*
//! decides: what the card has in all, without the weights and a fifth more. Text encoders leave first, since a prompt is read
//! once; the decoder last, since it takes a processor minutes where a card takes seconds.

use super::super::diffusion::Options;

/// With less headroom than this, text encoders are kept on the host.
const FOR_TEXT: u64 = 6 << 30;
/// With less headroom than this, the image decoder is, too.
const FOR_DECODER: u64 = 2 << 30;

/// What the configuration says of one kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// `clip_on_cpu`; `None` = auto.
    pub clip_on_cpu: Option<bool>,
    /// `vae_on_cpu`; `None` = auto.
    pub vae_on_cpu: Option<bool>,
    /// `batch_size`; `None`: the program's.
    pub batch_size: Option<u32>,
}

/// Where it would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Nobody knows: nothing is moved.
    Unknown,
    /// There is no card that it may use.
    NoCard,
    /// On a card.
    Card {
        /// All of its memory, in bytes.
        total: u64,
        /// Bytes of all files that are loaded.
        weights: u64,
    },
}

/// How a build of the program takes being told (`examples/common/common.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `--clip-on-cpu`, `--vae-on-cpu`.
    Flags,
    /// `--backend te=cpu,vae=cpu`.
    Backend,
    /// Not at all.
    Neither,
}

/// What is to be on the host that the command does not put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moves {
    /// The text encoders.
    pub text: bool,
    /// The image decoder.
    pub decoder: bool,
}

impl Room {
    /// What is left for everything but weights.
    fn headroom(self) -> Option<u64> {
        match self {
            Self::Unknown | Self::NoCard => None,
            Self::Card { total, weights } => Some(total.saturating_sub(weights.saturating_add(weights.div_ceil(5)))),
        }
    }
}

/// Decides what is moved to the host.
#[must_use]
pub fn moves(arguments: &[&str], wishes: Wishes, room: Room) -> Moves {
    let said = Options::read(arguments);
    if said.places {
        return Moves::default();
    }
    let tight = |below: u64| room.headroom().is_some_and(|headroom| headroom < below);
    let text = wishes.clip_on_cpu.unwrap_or_else(|| room == Room::NoCard || tight(FOR_TEXT));
    let decoder = wishes.vae_on_cpu.unwrap_or_else(|| tight(FOR_DECODER));
    Moves { text: text && !said.on_host.text, decoder: decoder && !said.on_host.image }
}

/// How many pictures it is told to make, unless the command says so.
#[must_use]
pub fn batch(arguments: &[&str], wishes: Wishes) -> Vec<String> {
    match wishes.batch_size.filter(|_| !Options::read(arguments).says_batch) {
        Some(batch) => vec!["-b".to_owned(), batch.to_string()],
        None => Vec::new(),
    }
}

impl Moves {
    /// Whether nothing is to be said.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The arguments that say it; none where the program knows no way.
    #[must_use]
    pub fn arguments(self, spelling: Spelling) -> Vec<String> {
        let chosen = |text: &str, decoder: &str| {
            let parts = [(self.text, text), (self.decoder, decoder)];
            parts.into_iter().filter(|(is_moved, _)| *is_moved).map(|(_, part)| part.to_owned()).collect::<Vec<_>>()
        };
        match spelling {
            _ if self.is_empty() => Vec::new(),
            Spelling::Flags => chosen("--clip-on-cpu", "--vae-on-cpu"),
            Spelling::Backend => vec!["--backend".to_owned(), chosen("te=cpu", "vae=cpu").join(",")],
            Spelling::Neither => Vec::new(),
        }
    }
}

impl Spelling {
    /// Whether what is to be on the host stays on a card, since nobody can tell the program. Without a card all of it is on
    /// the host anyway.
    #[must_use]
    pub fn loses(self, room: Room) -> bool {
        self == Self::Neither && room != Room::NoCard
    }

    /// What a program's own help says. Builds that know both call the flags deprecated, and take them.
    #[must_use]
    pub fn read(help: &str) -> Self {
        let knows = |option: &str| help.split([' ', ',', '\n', '\t', '[', ']', '=']).any(|word| word == option);
        match () {
            () if knows("--clip-on-cpu") && knows("--vae-on-cpu") => Self::Flags,
            () if knows("--backend") => Self::Backend,
            () => Self::Neither,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn card(total: u64, weights: u64) -> Room {
        Room::Card { total: total * GIB, weights: weights * GIB }
    }

    fn of(command: &str, wishes: Wishes, room: Room) -> (bool, bool) {
        let Moves { text, decoder } = moves(&command.split(' ').collect::<Vec<_>>(), wishes, room);
        (text, decoder)
    }

    #[test]
    fn a_program_that_knows_no_way_loses_something_where_there_may_be_a_card() {
        for (spelling, room, expected) in [
            (Spelling::Neither, card(8, 4), true),
            (Spelling::Neither, Room::Unknown, true),
            (Spelling::Neither, Room::NoCard, false),
            (Spelling::Flags, card(8, 4), false),
            (Spelling::Backend, card(8, 4), false),
        ] {
            assert_eq!(spelling.loses(room), expected, "{spelling:?} {room:?}");
        }
    }

    #[test]
    fn a_tight_card_is_left_by_the_text_encoders_and_last_by_the_decoder() {
        let auto = Wishes::default();
        for (room, expected) in [
            (card(24, 10), (false, false)),
            (card(18, 10), (false, false)),
            (card(17, 10), (true, false)),
            (card(14, 10), (true, false)),
            (card(13, 10), (true, true)),
            (card(8, 10), (true, true)),
            (Room::NoCard, (true, false)),
            (Room::Unknown, (false, false)),
        ] {
            assert_eq!(of("-m x", auto, room), expected, "{room:?}");
        }
    }

    #[test]
    fn what_the_user_says_wins() {
        let wishes = Wishes { clip_on_cpu: Some(false), vae_on_cpu: Some(false), batch_size: None };
        assert_eq!(of("-m x", wishes, card(8, 10)), (false, false));
        let wishes = Wishes { clip_on_cpu: Some(true), vae_on_cpu: Some(true), batch_size: None };
        assert_eq!(of("-m x", wishes, card(80, 10)), (true, true));
        assert_eq!(of("-m x --clip-on-cpu", wishes, card(80, 10)), (false, true));
        assert_eq!(of("-m x --clip-on-cpu", Wishes::default(), card(8, 10)), (false, true));
        for placed in ["--backend cuda0", "--backend te=cpu"] {
            assert_eq!(of(placed, wishes, card(8, 10)), (false, false), "{placed}");
        }
        let four = Wishes { batch_size: Some(4), ..Wishes::default() };
        assert_eq!(batch(&["-m", "x"], four), ["-b", "4"]);
        assert!(batch(&["-b", "2"], four).is_empty() && batch(&["-m", "x"], Wishes::default()).is_empty());
    }

    #[test]
    fn it_is_said_as_the_program_knows_it() {
        let both = Moves { text: true, decoder: true };
        let old = "  --clip-on-cpu        keep clip in cpu\n  --vae-on-cpu         keep vae in cpu\n";
        let new = "  --clip-on-cpu   deprecated\n  --vae-on-cpu   deprecated\n  --backend <string>   assignment";
        let newer = "  --backend <string>              runtime backend assignment\n  --params-backend <string>";
        assert_eq!(both.arguments(Spelling::read(old)), ["--clip-on-cpu", "--vae-on-cpu"]);
        assert_eq!(Spelling::read(new), Spelling::Flags);
        assert_eq!(both.arguments(Spelling::read(newer)), ["--backend", "te=cpu,vae=cpu"]);
        assert_eq!(Moves { text: true, decoder: false }.arguments(Spelling::Backend), ["--backend", "te=cpu"]);
        for neither in ["", "--params-backend x", "usage: sd --clip-on-cpus"] {
            assert_eq!(Spelling::read(neither), Spelling::Neither, "{neither}");
        }
        assert!(
            both.arguments(Spelling::Neither).is_empty() && Moves::default().arguments(Spelling::Backend).is_empty()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn more_room_never_moves_more(total in any::<u64>(), more in any::<u64>(), weights in any::<u64>()) {
            let of = |total| moves(&[], Wishes::default(), Room::Card { total, weights });
            let (less, more) = (of(total), of(total.saturating_add(more)));
            prop_assert!((less.text || !more.text) && (less.decoder || !more.decoder));
            prop_assert!(less.text || !less.decoder, "the decoder never leaves alone");
        }
    }
}
