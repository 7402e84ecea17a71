//! The state as a value: through JSON, over to changed settings.

use super::*;

fn round_trip(state: &State) -> State {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

#[test]
fn survives_json_at_any_point_and_the_run_goes_on_identically() {
    let loads = "0.1 99.3 timeout 1e-7 refused 12.345678901234567 document 0.30000000000000004 99 5 7e22 0";
    let mut straight = Bot::with_bounds(1, 3, 1);
    let mut stored = Bot::with_bounds(1, 3, 1);
    for word in loads.split(' ').cycle().take(60) {
        stored.state = round_trip(&stored.state);
        assert_eq!(stored.state, straight.state);
        assert_eq!(stored.tick(word), straight.tick(word));
    }
}

#[test]
fn keeps_every_bit_of_a_reading_in_json() {
    // Each of these is read wrongly by a parser that does not round correctly, or needs all of its digits.
    for reading in [0.1 + 0.2, 6.770_290_736_319_609e55, 5e-324, f64::MAX, f64::MIN_POSITIVE.next_down()] {
        let mut bot = Bot::new([response_time()], 1);
        bot.look("0");
        bot.observe([(0, number(reading))]);
        let newest = round_trip(&bot.state).signals[0].history.newest().and_then(Sample::number).unwrap();
        assert_eq!(newest.get().to_bits(), reading.to_bits(), "{reading:e}");
    }
}

#[test]
fn goes_over_to_changed_settings_as_far_as_it_means_the_same() {
    let mut bot = Bot::new([response_time()], 1);
    (0..9).for_each(|_| drop(bot.tick("800")));
    let mut shorter = response_time();
    shorter.history_length = NonZeroUsize::new(6).unwrap();
    let kept = bot.state.clone().carried_over(&policy([shorter]), true);
    assert_eq!(kept.signals[0].history.len(), 6);
    assert_eq!((kept.expected, &kept.wait), (Some(1), &bot.state.wait));
    let other = policy([response_time(), queue()]);
    let anew = bot.state.clone().carried_over(&other, true);
    assert_eq!(anew.signals.iter().map(|signal| signal.history.len()).collect::<Vec<_>>(), [0, 0]);
    let anew = bot.state.clone().carried_over(&policy([response_time()]), false);
    assert!(anew.signals[0].history.is_empty());
}

#[test]
fn a_wait_goes_on_over_a_change_of_settings() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    bot.tick("99");
    bot.state = bot.state.clone().carried_over(&bot.policy, true);
    bot.second = 1;
    assert_eq!(bot.look("99").held, Some(Held::Waiting(Duration::from_secs(4))));
}

#[test]
fn decisions_do_not_depend_on_how_the_ticks_are_spaced() {
    let keys = |step| {
        let mut bot = Bot::new([response_time()], 1);
        let words = ["1300", "1300", "timeout", "5"];
        words.map(|word| {
            bot.second += step;
            bot.look(word).decision.reason.key.into_owned()
        })
    };
    assert_eq!(keys(1), keys(86_400));
    assert_eq!(at_millis(1500).since(&at(1)), Duration::from_millis(500));
}
