//! What the two doors promise, one claim each.

use serde_json::json;

use super::*;
use crate::examples::{
    at, at_millis, bounds, document, number, policy, queue, refused, response_time, samples, scale_failure, timeout,
};

/// A process with its platform, measured every 30 s.
struct Bot {
    policy: Policy,
    state: State,
    running: u32,
    second: u64,
}

impl Bot {
    fn new(signals: impl Into<Vec<Signal>>, running: u32) -> Self {
        let policy = policy(signals);
        Self { state: State::new(&policy), policy, running, second: 0 }
    }

    /// One signal that is high above 10 and low at 0, within bounds, one reading being enough.
    fn with_bounds(min: u32, max: u32, running: u32) -> Self {
        Self::new([within(queue(), min, max)], running)
    }

    fn observe(&mut self, samples: impl IntoIterator<Item = (usize, Sample)>) -> Outcome {
        let now = at(self.second);
        observe(&self.policy, &mut self.state, samples, Ok(self.running), &now)
    }

    /// Observes one sample per signal, without carrying any order out.
    fn look(&mut self, words: &str) -> Outcome {
        self.observe(samples(words).into_iter().enumerate())
    }

    fn settle(&mut self, order: &Order, settled: &Settled) -> Vec<Event> {
        settle(&self.policy, &mut self.state, order, settled, &at(self.second))
    }

    /// Observes, and the platform obeys; then 30 s pass.
    fn tick(&mut self, words: &str) -> Outcome {
        let mut outcome = self.look(words);
        if let Some(order) = outcome.order.clone() {
            self.running = order.to;
            outcome.events.extend(self.settle(&order, &Settled::Scaled));
        }
        self.second += 30;
        outcome
    }
}

fn within(mut signal: Signal, min: u32, max: u32) -> Signal {
    signal.bounds = bounds(json!(min), json!(max), "UTC");
    signal
}

fn order_of(outcome: &Outcome) -> Option<(u32, u32)> {
    outcome.order.as_ref().map(|order| (order.from, order.to))
}

fn has(events: &[Event], matching: impl Fn(&Event) -> bool) -> bool {
    events.iter().any(matching)
}

fn needs_exceeded_max(outcome: &Outcome) -> Option<(u32, u32, Phase)> {
    outcome.events.iter().find_map(|event| match event {
        Event::NeedsExceededMax { wanted, max, phase, .. } => Some((*wanted, *max, *phase)),
        _ => None,
    })
}

fn needs_below_min(outcome: &Outcome) -> Option<(u32, u32, Phase)> {
    outcome.events.iter().find_map(|event| match event {
        Event::NeedsBelowMin { wanted, min, phase, .. } => Some((*wanted, *min, *phase)),
        _ => None,
    })
}

fn changed_elsewhere(outcome: &Outcome) -> Option<(u32, u32)> {
    outcome.events.iter().find_map(|event| match event {
        Event::CountChangedElsewhere { from, to } => Some((*from, *to)),
        _ => None,
    })
}

mod orders {
    use super::*;

    #[test]
    fn three_slow_answers_add_one_process_and_the_order_says_why() {
        let mut bot = Bot::new([response_time()], 1);
        assert_eq!(bot.tick("1310").order, None);
        assert_eq!(bot.tick("1405").order, None);
        let order = bot.look("1377").order.unwrap();
        assert_eq!((order.from, order.to, order.limit), (1, 2, None));
        assert_eq!(order.reason.sentence, "3 readings in a row above 1200 ms (1310, 1405, 1377)");
    }

    #[test]
    fn nothing_is_ordered_when_nothing_would_change() {
        assert_eq!(Order::new(2, 2, Reason::new("x", "x"), None), None);
        let mut bot = Bot::with_bounds(2, 2, 2);
        for words in ["99", "0", "5", "timeout", "refused", "document"] {
            assert_eq!(bot.tick(words).order, None, "{words}");
        }
    }

    #[test]
    fn the_order_starts_from_the_count_of_this_moment() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        bot.tick("5");
        bot.running = 6;
        assert_eq!(order_of(&bot.look("99")), Some((6, 7)));
    }

    #[test]
    fn a_steady_load_leads_to_a_bound_and_stays_there() {
        for (words, start, end) in [("99", 1, 3), ("0", 3, 1), ("5", 2, 2), ("refused", 3, 3), ("document", 2, 2)] {
            let mut bot = Bot::with_bounds(1, 3, start);
            (0..10).for_each(|_| drop(bot.tick(words)));
            assert_eq!(bot.running, end, "{words}");
        }
    }

    #[test]
    fn no_sample_at_all_is_fine() {
        let mut bot = Bot::new([response_time()], 2);
        let outcome = bot.observe([]);
        assert_eq!((outcome.decision.wanted, &*outcome.decision.reason.key), (2, "no_reading"));
        assert_eq!(outcome.events, []);
    }

    #[test]
    fn a_sample_of_a_signal_that_is_gone_is_dropped() {
        let mut bot = Bot::with_bounds(1, 3, 1);
        let outcome = bot.observe([(7, number(99.0))]);
        assert_eq!((outcome.order, outcome.events), (None, vec![]));
    }
}

mod the_clamp {
    use super::*;

    #[test]
    fn says_which_limit_cut_a_step_short() {
        let table = [
            // name, min, max, increment, running, load, order, limit
            ("step fits", 1, 9, 3, 4, "99", Some((4, 7)), None),
            ("step ends exactly at max", 1, 7, 3, 4, "99", Some((4, 7)), None),
            ("step is cut at max", 1, 6, 3, 4, "99", Some((4, 6)), Some(Limit::Max)),
            ("step ends exactly at min", 1, 9, 3, 4, "0", Some((4, 1)), None),
            ("step is cut at min", 2, 9, 3, 4, "0", Some((4, 2)), Some(Limit::Min)),
            ("step ends at none", 0, 9, 4, 4, "0", Some((4, 0)), None),
            ("from none", 0, 9, 4, 0, "99", Some((0, 4)), None),
            ("already at max", 1, 4, 3, 4, "99", None, Some(Limit::Max)),
            ("already at min", 4, 9, 3, 4, "0", None, Some(Limit::Min)),
        ];
        for (name, min, max, increment, running, words, order, limit) in table {
            let mut signal = within(queue(), min, max);
            let settings = json!({
                "min_measurement_value": 0, "max_measurement_value": 10,
                "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
            });
            signal.decide = crate::examples::build("ConsecutiveThreshold", settings, increment, "tasks");
            let outcome = Bot::new([signal], running).look(words);
            assert_eq!((order_of(&outcome), outcome.limit), (order, limit), "{name}");
            let ordered = outcome.order.map(|order| order.limit);
            assert_eq!(ordered, order.map(|_| limit), "{name}");
        }
    }

    #[test]
    fn needs_exceed_max_only_when_all_that_may_run_already_runs() {
        let mut bot = Bot::with_bounds(1, 2, 1);
        assert_eq!(needs_exceeded_max(&bot.tick("99")), None, "one more may still run");
        assert_eq!(needs_exceeded_max(&bot.tick("99")), Some((3, 2, Phase::Began)));
        assert_eq!(needs_exceeded_max(&bot.tick("99")), None, "told once");
        let ended = needs_exceeded_max(&bot.tick("5")).unwrap();
        assert_eq!(ended.2, Phase::Ended(Duration::from_secs(60)));
    }

    #[test]
    fn needs_exceed_max_is_told_again_every_hour() {
        let mut bot = Bot::with_bounds(1, 2, 2);
        let told = (0..=240).filter(|_| needs_exceeded_max(&bot.tick("99")).is_some()).count();
        assert_eq!(told, 3, "at 0:00, 1:00 and 2:00");
    }

    #[test]
    fn needs_below_min_only_at_the_min() {
        let mut bot = Bot::with_bounds(1, 3, 2);
        assert_eq!(needs_below_min(&bot.tick("0")), None, "one fewer may still run");
        assert_eq!(needs_below_min(&bot.tick("0")), Some((0, 1, Phase::Began)));
        assert!(matches!(needs_below_min(&bot.tick("5")), Some((_, 1, Phase::Ended(_)))));
    }

    #[test]
    fn an_idle_process_at_none_needs_nothing_below() {
        let mut bot = Bot::with_bounds(0, 3, 0);
        assert_eq!(needs_below_min(&bot.tick("0")), None);
    }
}

mod outside_the_bounds {
    use super::*;

    #[test]
    fn the_count_goes_straight_to_the_nearest_bound_whatever_was_measured() {
        for words in ["99", "0", "5", "timeout", "refused", "document", ""] {
            let mut bot = Bot::with_bounds(2, 4, 9);
            let order = bot.look(words).order.unwrap();
            assert_eq!((order.from, order.to, order.limit), (9, 4, Some(Limit::Max)), "{words}");
            assert_eq!(order.reason, Reason::new("outside_bounds", "9 running is above the max of 4"));
            bot.running = 0;
            let order = bot.look(words).order.unwrap();
            assert_eq!((order.from, order.to, order.limit), (0, 2, Some(Limit::Min)), "{words}");
            assert_eq!(order.reason.sentence, "0 running is below the min of 2");
        }
    }

    #[test]
    fn the_bounds_themselves_are_inside() {
        for running in [2, 4] {
            assert_eq!(Bot::with_bounds(2, 4, running).look("5").order, None, "{running}");
        }
    }

    #[test]
    fn it_does_not_wait_for_the_wait() {
        let mut bot = Bot::with_bounds(1, 3, 1);
        bot.tick("99");
        bot.second -= 29;
        bot.running = 8;
        let outcome = bot.look("refused");
        assert_eq!((order_of(&outcome), outcome.held), (Some((8, 3)), None));
    }

    #[test]
    fn it_backs_off_from_a_platform_that_refuses() {
        let mut bot = Bot::with_bounds(1, 3, 8);
        let order = bot.look("5").order.unwrap();
        bot.settle(&order, &Settled::Failed(scale_failure(None)));
        bot.second += 1;
        let outcome = bot.look("5");
        assert_eq!((outcome.order, outcome.held), (None, Some(Held::BackingOff(Duration::from_secs(1)))));
        bot.second += 1;
        assert_eq!(order_of(&bot.look("5")), Some((8, 3)));
    }

    #[test]
    fn the_sentence_names_the_local_time_when_the_bounds_depend_on_it() {
        let mut signal = queue();
        signal.bounds = bounds(json!({"8:00": 3, "18:00": 1}), json!(5), "America/Vancouver");
        // Noon in UTC is 5:00 there: yesterday's last line, 1, still holds.
        let mut bot = Bot::new([signal], 1);
        assert_eq!(bot.look("5").order, None);
        bot.second = 3 * 3600 + 5 * 60;
        let order = bot.look("5").order.unwrap();
        assert_eq!((order.to, &*order.reason.sentence), (3, "1 running is below the min of 3 at 8:05"));
    }

    #[test]
    fn the_local_time_is_that_of_the_signal_whose_bound_it_is() {
        let mut tokyo = queue();
        tokyo.bounds = bounds(json!({"0:00": 4}), json!(5), "Asia/Tokyo");
        let mut bot = Bot::new([within(queue(), 1, 3), tokyo], 1);
        let outcome = bot.look("5 5");
        assert_eq!(outcome.signal, 1);
        assert_eq!(outcome.decision.reason.sentence, "1 running is below the min of 4 at 21:00");
    }

    #[test]
    fn bounds_follow_the_clock_of_their_zone_also_on_the_days_it_is_changed() {
        let mut signal = queue();
        signal.bounds = bounds(json!({"0:00": 1, "2:30": 2, "3:30": 3}), json!(5), "Europe/Berlin");
        let policy = policy([signal]);
        let table = [
            // name, UTC, min
            ("spring: 1:59 local", "2026-03-29T00:59:59Z", 1),
            ("spring: 3:00 local, 2:30 was skipped", "2026-03-29T01:00:00Z", 2),
            ("spring: 3:30 local", "2026-03-29T01:30:00Z", 3),
            ("autumn: 2:29 for the first time", "2026-10-25T00:29:59Z", 1),
            ("autumn: 2:30 for the first time", "2026-10-25T00:30:00Z", 2),
            ("autumn: 2:00 again", "2026-10-25T01:00:00Z", 1),
            ("autumn: 2:30 again", "2026-10-25T01:30:00Z", 2),
            ("autumn: 3:30", "2026-10-25T02:30:00Z", 3),
        ];
        for (name, utc, min) in table {
            let now = Moment { since_start: Duration::ZERO, civil: utc.parse().unwrap() };
            let outcome = observe(&policy, &mut State::new(&policy), [], Ok(5), &now);
            assert_eq!(outcome.range, Range { min, max: 5 }, "{name}");
        }
    }
}

mod the_wait {
    use super::*;

    #[test]
    fn success_clears_the_history_and_begins_the_wait() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let order = bot.look("99").order.unwrap();
        let events = bot.settle(&order, &Settled::Scaled);
        assert!(matches!(&events[..], [Event::ScaledUp { from: 1, to: 2, limit: None, .. }]), "{events:?}");
        bot.running = 2;
        assert!(bot.state.signals[0].history.is_empty());
        bot.second = 4;
        let outcome = bot.look("99");
        assert_eq!((outcome.order, outcome.held), (None, Some(Held::Waiting(Duration::from_secs(1)))));
        assert_eq!(
            outcome.decision.reason.sentence,
            "1 reading above 10 tasks (99); held, the wait after the last scale takes 1 s more"
        );
        bot.second = 5;
        assert_eq!(order_of(&bot.look("99")), Some((2, 3)), "the wait is over exactly at its end");
    }

    #[test]
    fn measuring_goes_on_during_the_wait() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        bot.policy.wait_after_scale = Duration::from_secs(100);
        (0..3).for_each(|_| drop(bot.tick("99")));
        assert_eq!(bot.state.signals[0].history.len(), 2);
    }

    #[test]
    fn it_is_measured_from_the_success_and_not_from_the_decision() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let order = bot.look("99").order.unwrap();
        bot.second = 20;
        bot.settle(&order, &Settled::Scaled);
        bot.running = 2;
        bot.second = 24;
        assert_eq!(bot.look("99").held, Some(Held::Waiting(Duration::from_secs(1))));
    }

    #[test]
    fn setting_the_wall_clock_neither_ends_nor_stretches_it() {
        for hours in [-1000, -1, 1, 1000] {
            let mut bot = Bot::with_bounds(1, 9, 1);
            bot.tick("99");
            let left = |since_start| {
                let mut now = at(since_start);
                now.civil += jiff::SignedDuration::from_hours(hours);
                observe(&bot.policy, &mut bot.state.clone(), [(0, number(99.0))], Ok(2), &now).held
            };
            assert_eq!(left(4), Some(Held::Waiting(Duration::from_secs(1))), "{hours} h");
            assert_eq!(left(5), None, "{hours} h");
        }
    }

    #[test]
    fn already_there_neither_clears_nor_waits_nor_tells() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let order = bot.look("99").order.unwrap();
        assert_eq!(bot.settle(&order, &Settled::AlreadyThere), []);
        assert_eq!(bot.state.signals[0].history.len(), 1);
        bot.running = 2;
        bot.second = 1;
        let outcome = bot.look("99");
        assert_eq!((order_of(&outcome), outcome.held), (Some((2, 3)), None));
        assert_eq!(changed_elsewhere(&outcome), None, "the count is what we asked for");
    }
}

mod a_failed_scale {
    use super::*;

    fn fail(bot: &mut Bot, retry_after: Option<u64>) -> Vec<Event> {
        let order = bot.look("99").order.unwrap();
        bot.settle(&order, &Settled::Failed(scale_failure(retry_after)))
    }

    #[test]
    fn is_told_with_both_reasons_and_neither_clears_nor_waits() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let events = fail(&mut bot, None);
        let [Event::ScaleFailed { from: 1, to: 2, reason, failure, in_a_row: 1, retry_in, phase: Phase::Began }] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((&*reason.key, &*failure.key), ("consecutive_high", "unavailable"));
        assert_eq!(*retry_in, Duration::from_secs(2));
        assert_eq!(bot.state.signals[0].history.len(), 1);
        assert_eq!(bot.state.wait.left(&at(0)), None);
    }

    #[test]
    fn is_tried_again_after_a_growing_wait_and_says_so_meanwhile() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let mut tries = Vec::new();
        for second in 0..200 {
            bot.second = second;
            let outcome = bot.look("99");
            match (&outcome.order, outcome.held) {
                (Some(order), None) => {
                    tries.push(second);
                    bot.settle(order, &Settled::Failed(scale_failure(None)));
                }
                (None, Some(Held::BackingOff(_))) => {
                    let sentence = outcome.decision.reason.sentence;
                    assert!(sentence.contains("; held, the platform refused and is asked again in "), "{sentence}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tries, [0, 2, 6, 14, 30, 62, 122, 182]);
    }

    #[test]
    fn is_told_once_and_then_every_hour() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let mut told = Vec::new();
        for minute in 0..=125 {
            bot.second = minute * 60;
            told.extend(fail(&mut bot, None).into_iter().map(|event| (minute, event)));
        }
        assert_eq!(told.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(), [0, 60, 120]);
    }

    #[test]
    fn is_not_tried_before_the_platform_asked_for_it() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        fail(&mut bot, Some(90));
        bot.second = 89;
        assert_eq!(bot.look("99").held, Some(Held::BackingOff(Duration::from_secs(1))));
        bot.second = 90;
        assert_eq!(order_of(&bot.look("99")), Some((1, 2)));
    }

    #[test]
    fn is_forgotten_after_a_success() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        (0..4).for_each(|tries| {
            bot.second = tries * 60;
            fail(&mut bot, None);
        });
        bot.second = 600;
        bot.tick("99");
        assert_eq!(bot.state.backoff, Backoff::default());
        let events = fail(&mut bot, None);
        assert!(matches!(events[..], [Event::ScaleFailed { in_a_row: 1, phase: Phase::Began, .. }]), "{events:?}");
    }

    #[test]
    fn long_after_the_last_one_begins_anew() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        fail(&mut bot, None);
        bot.second = 5 * 3600;
        let events = fail(&mut bot, None);
        assert!(matches!(events[..], [Event::ScaleFailed { in_a_row: 1, phase: Phase::Began, .. }]), "{events:?}");
    }

    #[test]
    fn that_was_obeyed_all_the_same_is_not_blamed_on_someone_else() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        fail(&mut bot, None);
        bot.running = 2;
        bot.second = 30;
        assert_eq!(changed_elsewhere(&bot.look("5")), None);
        bot.running = 1;
        assert_eq!(changed_elsewhere(&bot.look("5")), Some((2, 1)));
        bot.running = 2;
        assert_eq!(changed_elsewhere(&bot.look("5")), Some((1, 2)), "only the next count can be the late effect");
    }
}

mod a_dry_run {
    use super::*;

    #[test]
    fn tells_what_it_would_do_and_goes_on_as_if_it_had() {
        let mut bot = Bot::with_bounds(1, 9, 1);
        let order = bot.look("99").order.unwrap();
        let events = bot.settle(&order, &Settled::DryRun);
        assert!(matches!(&events[..], [Event::WouldScale { from: 1, to: 2, .. }]), "{events:?}");
        assert!(bot.state.signals[0].history.is_empty());
        bot.second = 1;
        let outcome = bot.look("99");
        assert_eq!(outcome.held, Some(Held::Waiting(Duration::from_secs(4))));
        assert_eq!(changed_elsewhere(&outcome), None, "the count did not change, as expected");
    }

    #[test]
    fn tells_the_same_wish_once_and_then_every_hour() {
        for running in [2, 9] {
            let mut bot = Bot::with_bounds(1, 4, running);
            let mut told = Vec::new();
            for minute in 0..=125 {
                bot.second = minute * 60;
                let order = bot.look("99").order.unwrap();
                told.extend(bot.settle(&order, &Settled::DryRun).into_iter().map(|_| minute));
            }
            assert_eq!(told, [0, 60, 120], "{running} running");
        }
    }

    #[test]
    fn tells_another_wish_at_once() {
        let mut bot = Bot::with_bounds(1, 4, 2);
        let mut told = 0;
        for words in ["99", "0", "99", "0"] {
            let order = bot.look(words).order.unwrap();
            told += bot.settle(&order, &Settled::DryRun).len();
            bot.second += 30;
        }
        assert_eq!(told, 4);
    }
}

mod the_count {
    use super::*;

    #[test]
    fn changed_by_someone_else_is_told_once() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        assert_eq!(changed_elsewhere(&bot.tick("5")), None, "the first count is news to nobody");
        bot.running = 4;
        assert_eq!(changed_elsewhere(&bot.tick("5")), Some((2, 4)));
        assert_eq!(changed_elsewhere(&bot.tick("5")), None);
    }

    #[test]
    fn changed_by_ourselves_is_not_told() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        assert_eq!(changed_elsewhere(&bot.tick("99")), None);
        assert_eq!(changed_elsewhere(&bot.tick("5")), None);
    }

    #[test]
    fn unknown_orders_nothing_and_still_learns_the_samples() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        bot.tick("5");
        let failure = Err(scale_failure(None));
        let outcome = observe(&bot.policy, &mut bot.state, [(0, number(99.0))], failure, &at(60));
        assert_eq!((outcome.order, outcome.running, outcome.decision.wanted), (None, None, 2));
        assert_eq!(outcome.decision.reason.key, "count_unknown");
        assert_eq!(outcome.decision.reason.sentence, "nobody knows how many processes run: the platform answered 503");
        assert_eq!(bot.state.signals[0].history.len(), 2);
    }

    #[test]
    fn unknown_is_told_when_it_begins_hourly_and_when_it_ends() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        let mut told = Vec::new();
        for minute in 0..=70 {
            let running = if (1..70).contains(&minute) { Err(scale_failure(None)) } else { Ok(2) };
            let outcome = observe(&bot.policy, &mut bot.state, [], running, &at(minute * 60));
            told.extend(outcome.events.into_iter().map(|event| match event {
                Event::CountFailed { phase, .. } => (minute, phase),
                Event::CountRecovered { lasted } => (minute, Phase::Ended(lasted)),
                other => panic!("{other:?}"),
            }));
        }
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert_eq!(told, [(1, Phase::Began), (61, Phase::Persists(minutes(60))), (70, Phase::Ended(minutes(69)))]);
    }

    #[test]
    fn unknown_for_a_while_does_not_hide_a_change() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        bot.tick("5");
        observe(&bot.policy, &mut bot.state, [], Err(scale_failure(None)), &at(30));
        bot.running = 3;
        assert_eq!(changed_elsewhere(&bot.tick("5")), Some((2, 3)));
    }
}

mod a_failing_measurement {
    use super::*;

    #[test]
    fn is_told_when_it_begins_and_when_it_ends_with_the_number_of_failures() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        let mut told = Vec::new();
        for words in ["5", "refused", "timeout", "refused", "5", "5"] {
            told.extend(bot.tick(words).events.into_iter().filter(|event| !matches!(event, Event::Measured { .. })));
            // High time-outs scale; that is another test's claim.
            told.retain(|event| !matches!(event, Event::ScaledUp { .. }));
        }
        assert!(
            matches!(
                &told[..],
                [
                    Event::MeasurementFailed { in_a_row: 1, phase: Phase::Began, .. },
                    Event::MeasurementRecovered { failures: 3, lasted, .. },
                ] if *lasted == Duration::from_secs(90)
            ),
            "{told:#?}"
        );
    }

    #[test]
    fn every_measurement_is_an_event_whatever_came_of_it() {
        let mut bot = Bot::with_bounds(1, 9, 2);
        for sample in [number(5.0), timeout(), refused(), document()] {
            let events = bot.observe([(0, sample.clone())]).events;
            assert!(has(&events, |event| matches!(event, Event::Measured { sample: told, .. } if *told == sample)));
        }
    }
}

mod several_signals {
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

    #[test]
    fn a_shrink_is_explained_by_a_signal_that_wants_it() {
        let large = || {
            let settings = json!({
                "min_measurement_value": 0, "max_measurement_value": 10,
                "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
            });
            let decide = crate::examples::build("ConsecutiveThreshold", settings, 5, "tasks");
            Signal { decide, ..within(queue(), 1, 9) }
        };
        let small = || within(queue(), 1, 3);
        for (signals, words, speaker) in [([small(), large()], "5 0", 1), ([large(), small()], "0 5", 0)] {
            // The large one wants 7 - 5 = 2, the small one wants all it may have, which is 3.
            let outcome = Bot::new(signals, 7).look(words);
            assert_eq!((order_of(&outcome), outcome.signal), (Some((7, 3)), speaker), "{words}");
            assert_eq!(outcome.decision.direction, Direction::Down);
            assert_eq!(outcome.decision.reason.key, "consecutive_low");
        }
    }

    #[test]
    fn a_scale_clears_the_histories_of_all() {
        let mut bot = bot(3);
        bot.tick("99 5");
        assert!(bot.state.signals.iter().all(|signal| signal.history.is_empty()));
    }
}

mod too_rapid {
    use super::*;

    fn told(outcome: &Outcome) -> Option<(Direction, u32, Phase)> {
        outcome.events.iter().find_map(|event| match event {
            Event::ScalingTooRapid { direction, scales, phase, .. } => Some((*direction, *scales, *phase)),
            _ => None,
        })
    }

    #[test]
    fn more_scales_in_one_direction_than_allowed_are_told_at_the_scale_that_is_too_many() {
        let mut bot = Bot::with_bounds(1, 99, 1);
        bot.policy.rapid = RapidLimit { scales: 2, period: Duration::from_secs(100) };
        let outcomes: Vec<_> = (0..3).map(|_| bot.tick("99")).collect();
        let found: Vec<_> = outcomes.iter().map(told).collect();
        assert_eq!(found, [None, None, Some((Direction::Up, 3, Phase::Began))]);
        assert!(matches!(told(&bot.tick("5")), None), "told once");
        bot.second = 100;
        assert!(matches!(told(&bot.tick("5")), Some((_, _, Phase::Ended(_)))), "the first scale is 100 s old");
    }

    #[test]
    fn scales_that_go_both_ways_are_counted_apart() {
        let mut bot = Bot::with_bounds(1, 99, 50);
        bot.policy.rapid = RapidLimit { scales: 2, period: Duration::from_secs(1000) };
        for words in ["99", "0", "99", "0"] {
            assert_eq!(told(&bot.tick(words)), None);
        }
        assert_eq!(told(&bot.tick("0")), Some((Direction::Down, 3, Phase::Began)));
    }

    #[test]
    fn orders_that_were_not_carried_out_do_not_count() {
        let mut bot = Bot::with_bounds(1, 99, 1);
        bot.policy.rapid = RapidLimit { scales: 0, period: Duration::from_secs(1000) };
        for settled in [Settled::DryRun, Settled::AlreadyThere, Settled::Failed(scale_failure(None))] {
            let order = bot.look("99").order.unwrap();
            let events = bot.settle(&order, &settled);
            assert!(!has(&events, |event| matches!(event, Event::ScalingTooRapid { .. })), "{settled:?}");
            bot.second += 30;
        }
    }
}

mod the_state {
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
        // Each of these needs all 17 digits, and a parser that rounds correctly.
        for reading in
            [0.1 + 0.2, 5e-324, 1.797_693_134_862_315_7e308, 2.2250738585072011e-308, 122.416_294_033_786_585]
        {
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
}
