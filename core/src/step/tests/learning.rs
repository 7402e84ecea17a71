//! What is learnt from counts and samples, and told: other hands, failures, too much swing.

use super::*;

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
        assert_eq!(told(&bot.tick("5")), None, "told once");
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
