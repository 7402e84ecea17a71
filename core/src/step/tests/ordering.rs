//! Which count is wanted, how the bounds cut it, and what happens outside of them.

use super::*;

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
            let told = needs_exceeded_max(&outcome).is_some() || needs_below_min(&outcome).is_some();
            assert_eq!(told, order.is_none(), "{name}: a step that is only cut short is no need unmet");
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
