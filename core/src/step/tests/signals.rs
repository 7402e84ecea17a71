//! Several signals: any may grow, all must agree to shrink, each within its own bounds.

use super::*;

fn bot(running: u32) -> Bot {
    Bot::new([within(queue(), 1, 9), within(queue(), 1, 9)], running)
}

#[test]
fn any_may_grow_and_all_must_agree_to_shrink() {
    let table = [
        // name, load of the two signals, order, speaking signal
        ("both high", "99 99", Some((3, 4)), 0),
        ("the first is high", "99 0", Some((3, 4)), 0),
        ("the second is high", "0 99", Some((3, 4)), 1),
        ("the first keeps it", "5 0", None, 0),
        ("the second keeps it", "0 5", None, 1),
        ("both low", "0 0", Some((3, 2)), 0),
        ("unknown and low", "refused 0", None, 0),
        ("low and unknown", "0 refused", None, 1),
        ("a document and low", "document 0", None, 0),
        ("low and not measured yet", "0", None, 1),
        ("unknown does not stop growing", "refused 99", Some((3, 4)), 1),
        ("too slow to answer grows", "0 timeout", Some((3, 4)), 1),
    ];
    for (name, words, order, signal) in table {
        let outcome = bot(3).look(words);
        assert_eq!((order_of(&outcome), outcome.signal), (order, signal), "{name}");
    }
}

#[test]
fn each_asks_within_its_own_bounds() {
    let table = [
        // name, bounds of the first, of the second, running, loads, order
        ("the first may not ask for more than 3", (1, 3), (1, 9), 3, "99 5", None),
        ("the second may", (1, 3), (1, 9), 3, "5 99", Some((3, 4))),
        ("the first cannot keep more than 3", (1, 3), (1, 9), 5, "5 0", Some((5, 4))),
        ("nor hold back a shrink while it is unknown", (1, 3), (1, 9), 5, "refused 0", Some((5, 4))),
        ("but keeps its 3", (1, 3), (1, 9), 3, "5 0", None),
        ("the higher min holds for both", (1, 3), (2, 9), 2, "0 0", None),
        ("bounds that do not overlap", (1, 2), (4, 9), 5, "0 0", Some((5, 4))),
        ("above the first's max is not outside", (1, 2), (1, 9), 8, "0 5", None),
        ("above both is", (1, 2), (1, 7), 8, "0 5", Some((8, 7))),
        ("below the higher min is", (1, 2), (2, 7), 1, "5 5", Some((1, 2))),
    ];
    for (name, first, second, running, words, order) in table {
        let signals = [within(queue(), first.0, first.1), within(queue(), second.0, second.1)];
        assert_eq!(order_of(&Bot::new(signals, running).look(words)), order, "{name}");
    }
}

#[test]
fn needs_exceed_max_is_told_whichever_signal_has_them() {
    for words in ["99 5", "5 99", "99 0", "0 99", "refused 99"] {
        let mut bot = Bot::new([within(queue(), 1, 3), within(queue(), 1, 3)], 3);
        assert_eq!(needs_exceeded_max(&bot.look(words)), Some((4, 3, Phase::Began)), "{words}");
    }
}

#[test]
fn needs_exceed_max_names_the_max_that_stands_in_the_way() {
    let mut bot = Bot::new([within(queue(), 1, 3), within(queue(), 1, 9)], 3);
    assert_eq!(needs_exceeded_max(&bot.look("99 0")), Some((4, 3, Phase::Began)));
}

#[test]
fn needs_below_min_asks_for_agreement() {
    for (words, told) in [("0 0", true), ("0 5", false), ("5 0", false), ("refused 0", false)] {
        let mut bot = Bot::new([within(queue(), 2, 3), within(queue(), 2, 3)], 2);
        assert_eq!(needs_below_min(&bot.look(words)).is_some(), told, "{words}");
    }
}

/// A queue with steps of another size.
fn in_steps_of(increment: u32) -> Signal {
    let settings = json!({
        "min_measurement_value": 0, "max_measurement_value": 10,
        "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
    });
    let decide = crate::examples::build("ConsecutiveThreshold", settings, increment, "tasks");
    Signal { decide, ..within(queue(), 1, 9) }
}

#[test]
fn a_shrink_is_explained_by_the_signal_that_wants_it_least_whatever_their_order() {
    let small = || within(queue(), 1, 3);
    let table = [
        // name, signals, loads, speaker
        ("small first", vec![small(), in_steps_of(5)], "5 0", 1),
        ("small last", vec![in_steps_of(5), small()], "0 5", 0),
        ("small, 2, 1", vec![small(), in_steps_of(5), in_steps_of(6)], "5 0 0", 1),
        ("small, 1, 2", vec![small(), in_steps_of(6), in_steps_of(5)], "5 0 0", 2),
        ("two small ones first", vec![within(queue(), 1, 2), small(), in_steps_of(5)], "99 5 0", 2),
        ("1, small, 2", vec![in_steps_of(6), small(), in_steps_of(5)], "0 5 0", 2),
    ];
    for (name, signals, words, speaker) in table {
        // The large ones want 7 - 5 = 2 and 7 - 6 = 1, the small one wants all it may have, which is 3.
        let outcome = Bot::new(signals, 7).look(words);
        assert_eq!((order_of(&outcome), outcome.signal), (Some((7, 3)), speaker), "{name}");
        assert_eq!(outcome.decision.direction, Direction::Down, "{name}");
        assert_eq!(outcome.decision.reason.key, "consecutive_low", "{name}");
    }
}

#[test]
fn a_scale_clears_the_histories_of_all() {
    let mut bot = bot(3);
    bot.tick("99 5");
    assert!(bot.state.signals.iter().all(|signal| signal.history.is_empty()));
}
