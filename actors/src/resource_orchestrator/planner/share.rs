//! How an amount is spread over several cards.

/// Spreads `total` over cards in proportion to `weights`, each card getting at least `floor` and never more than it
/// `gives`. Where `total` is more than all of them give, each gets what it gives.
///
/// In proportion to what is free, because llama.cpp does the same when it is not told otherwise (`src/llama-model.cpp`,
/// "default split, by free memory").
pub(super) fn spread(total: u64, floor: u64, weights: &[u64], gives: &[u64]) -> Vec<u64> {
    let mut shares: Vec<u64> = gives.iter().map(|gives| floor.min(*gives)).collect();
    loop {
        let left = total.saturating_sub(shares.iter().fold(0, |sum, share| sum.saturating_add(*share)));
        let roomy: Vec<usize> = (0..gives.len()).filter(|card| shares[*card] < gives[*card]).collect();
        if left == 0 || roomy.is_empty() {
            return shares;
        }
        let weight = |card: usize| u128::from(weights[card]).max(1);
        let weigh: u128 = roomy.iter().map(|card| weight(*card)).sum();
        let before = shares.clone();
        for &card in &roomy {
            let more = u64::try_from(u128::from(left) * weight(card) / weigh).unwrap_or(u64::MAX);
            shares[card] += more.min(gives[card] - shares[card]);
        }
        if shares == before {
            // Less is left than there are cards: the first of them take a byte each.
            for &card in roomy.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                shares[card] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_proportion_and_never_beyond_what_a_card_gives() {
        assert_eq!(spread(9, 0, &[10, 20], &[10, 20]), [3, 6]);
        assert_eq!(spread(100, 0, &[80, 80], &[20, 80]), [20, 80]);
        assert_eq!(spread(30, 5, &[10, 30], &[50, 50]), [10, 20]);
        assert_eq!(spread(50, 0, &[1, 1], &[10, 10]), [10, 10]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn everything_is_spread(
            cards in prop::collection::vec((0..=u64::MAX, 0..1_u64 << 40), 1..6),
            percent in 0..=100_u64,
        ) {
            let (weights, gives): (Vec<u64>, Vec<u64>) = cards.into_iter().unzip();
            let total = gives.iter().sum::<u64>() / 100 * percent;
            let shares = spread(total, 0, &weights, &gives);
            prop_assert_eq!(shares.iter().sum::<u64>(), total);
            prop_assert!(shares.iter().zip(&gives).all(|(share, gives)| share <= gives));
        }
    }
}
