//! What becomes of an order: the wait after a success, the growing pauses after refusals, the dry run.

use super::*;

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
