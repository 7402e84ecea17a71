//! The work in a queue: a shrink stops nobody who works, for as long as was set; an item that waits wakes a process.

use super::*;
use crate::{
    busy::{InProgress, ScaleDownWhen, Victims, Work, Worker},
    control::Command,
};

/// A process whose queue is seen with its workers, on a platform that stops the highest number first.
fn bot(running: u32) -> Bot {
    bot_of([watched(0, 9)], running)
}

fn bot_of(signals: impl Into<Vec<Signal>>, running: u32) -> Bot {
    let mut bot = Bot::new(signals, running);
    bot.policy.protection = Protection {
        scale_down_when: ScaleDownWhen::Idle,
        max_busy_wait: Duration::from_secs(3600),
        victims: Victims::Highest,
    };
    bot
}

fn watched(min: u32, max: u32) -> Signal {
    Signal { sees_work: true, ..within(queue(), min, max) }
}

/// Low as soon as three readings in a row are.
fn patient() -> Signal {
    let settings = json!({
        "min_measurement_value": 0, "max_measurement_value": 10,
        "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 3,
    });
    Signal { decide: crate::examples::build("ConsecutiveThreshold", settings, 1, "tasks"), ..watched(0, 9) }
}

/// So many waiting, and workers 1, 2, … with a letter each: `b`usy, `f`ree, `-` not seen.
fn work(waiting: u64, letters: &str) -> Work {
    let seen = letters.chars().enumerate().filter(|(_, letter)| *letter != '-');
    let worker = |(index, letter)| Worker { process: u32::try_from(index + 1).ok(), busy: letter == 'b' };
    let busy = letters.chars().filter(|letter| *letter == 'b').count() as u64;
    Work { waiting, in_progress: InProgress::ByWorkers(busy), workers: Some(seen.map(worker).collect()) }
}

/// A measurement of this very moment; the reading is what waits.
fn seen(bot: &Bot, work: Work) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let reading = number(work.waiting as f64);
    Sample { at: at(bot.second), work: Some(Box::new(work)), ..reading }
}

impl Bot {
    /// One signal's measurement, with the platform obeying.
    fn see(&mut self, waiting: u64, letters: &str) -> Outcome {
        let sample = seen(self, work(waiting, letters));
        let outcome = self.observe([(0, sample)]);
        if let Some(order) = outcome.order.clone() {
            self.running = order.to;
            self.settle(&order, &Settled::Scaled);
        }
        outcome
    }

    fn fail(&mut self) -> Outcome {
        let failure = Sample { at: at(self.second), ..refused() };
        self.observe([(0, failure)])
    }
}

fn busy_for(outcome: &Outcome) -> Option<u64> {
    match outcome.held {
        Some(Held::Busy(lasted)) => Some(lasted.as_secs()),
        _ => None,
    }
}

mod a_shrink {
    use super::*;

    #[test]
    fn is_held_while_the_one_that_would_go_is_busy_and_says_so() {
        let mut bot = bot(3);
        let outcome = bot.see(0, "ffb");
        assert_eq!((order_of(&outcome), busy_for(&outcome)), (None, Some(0)));
        assert_eq!(outcome.decision.wanted, 2, "what is wanted is told all the same");
        assert_eq!(
            outcome.decision.reason.sentence,
            "1 reading at or below 0 tasks (0); number 3 is busy, and the platform stops the highest number first; held \
             for 0 s so far, nobody is stopped who may work"
        );
        bot.second = 90;
        let outcome = bot.see(0, "ffb");
        assert_eq!(busy_for(&outcome), Some(90));
        assert!(outcome.decision.reason.sentence.contains("; held for 90 s so far"), "{outcome:?}");
        assert_eq!(order_of(&bot.see(0, "ffb".replace('b', "f").as_str())), Some((3, 2)));
    }

    #[test]
    fn goes_as_far_as_is_safe_and_says_why_not_further() {
        let mut bot = bot_of([within(Signal { sees_work: true, ..in_steps_of_4() }, 0, 9)], 6);
        let outcome = bot.see(0, "fbbbff");
        assert_eq!((order_of(&outcome), outcome.held), (Some((6, 4)), None));
        assert_eq!(
            outcome.order.unwrap().reason.sentence,
            "1 reading at or below 0 tasks (0); not below 4, number 4 is busy, and the platform stops the highest number \
             first"
        );
    }

    fn in_steps_of_4() -> Signal {
        let settings = json!({
            "min_measurement_value": 0, "max_measurement_value": 10,
            "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
        });
        Signal { decide: crate::examples::build("ConsecutiveThreshold", settings, 4, "tasks"), ..queue() }
    }

    #[test]
    fn tells_the_platform_who_is_free() {
        for (name, victims, letters, order, free) in [
            ("who can choose gets all of them", Victims::Chosen, "fbfb", Some((4, 3)), vec![1, 3]),
            ("also who cannot", Victims::Highest, "fbff", Some((4, 3)), vec![1, 3, 4]),
        ] {
            let mut bot = bot(4);
            bot.policy.protection.victims = victims;
            let found = bot.see(0, letters).order.unwrap();
            assert_eq!((Some((found.from, found.to)), found.free), (order, free), "{name}");
        }
        let mut bot = bot(1);
        assert_eq!(bot.see(99, "b").order.unwrap().free, Vec::<u32>::new(), "nobody goes when there should be more");
        bot.policy.protection.scale_down_when = ScaleDownWhen::Always;
        bot.second = 30;
        assert_eq!(bot.see(0, "bf").order.unwrap().free, [2], "it is told even if nobody insists");
    }

    #[test]
    fn beyond_a_bound_is_held_as_well() {
        let mut bot = bot_of([watched(0, 2)], 4);
        let outcome = bot.see(5, "ffbb");
        assert_eq!((order_of(&outcome), busy_for(&outcome), outcome.limit), (None, Some(0), Some(Limit::Max)));
        assert_eq!(&*outcome.decision.reason.key, "outside_bounds");
        let outcome = bot.see(5, "ffbf");
        let order = outcome.order.unwrap();
        assert_eq!((order.to, order.limit), (3, None), "as far as is safe, which is no bound");
        assert!(order.reason.sentence.contains("above the max of 2; not below 3, number 3 is busy"), "{order:?}");
        assert_eq!(order_of(&bot.see(5, "ffff")), Some((3, 2)), "at once, like any way back inside");
    }

    #[test]
    fn is_held_by_a_measurement_that_failed_or_is_old_and_by_one_that_brought_no_work() {
        let both = || [watched(0, 9), Signal { sees_work: false, ..within(queue(), 0, 9) }];
        let table = [
            // name, age of what was seen, whether it was seen, held
            ("fresh", 0, true, false),
            ("just fresh", 15, true, false),
            ("old", 16, true, true),
            ("no work in it", 0, false, true),
        ];
        for (name, age, is_seen, held) in table {
            let mut bot = bot_of(both(), 2);
            let sample = Sample { work: is_seen.then(|| Box::new(work(0, "ff"))), ..seen(&bot, work(0, "ff")) };
            bot.second = age;
            let other = Sample { at: at(bot.second), ..number(0.0) };
            let outcome = bot.observe([(0, sample), (1, other)]);
            assert_eq!(busy_for(&outcome).is_some(), held, "{name}: {outcome:?}");
            assert_eq!(
                outcome.decision.reason.sentence.contains("nobody knows at the moment who is busy"),
                held,
                "{name}"
            );
        }
        // A failure makes no policy want fewer; a bound does.
        let mut bot = bot_of([watched(0, 2)], 3);
        assert_eq!(busy_for(&bot.fail()), Some(0));
    }

    #[test]
    fn asks_only_those_signals_that_see_work() {
        let both = [watched(0, 9), Signal { sees_work: false, ..within(queue(), 0, 9) }];
        let mut bot = bot_of(both, 2);
        let samples = |bot: &Bot, letters| [(0, seen(bot, work(0, letters))), (1, number(0.0))];
        assert_eq!(busy_for(&bot.observe(samples(&bot, "fb"))), Some(0));
        assert_eq!(order_of(&bot.observe(samples(&bot, "ff"))), Some((2, 1)));
        let mut blind = bot_of([within(queue(), 0, 9)], 2);
        assert_eq!(order_of(&blind.see(0, "bb")), Some((2, 1)), "a signal that promises no work protects nobody");
    }

    #[test]
    fn needs_both_queues_to_agree_who_is_free() {
        let mut bot = bot_of([watched(0, 9), watched(0, 9)], 2);
        let of_both = |bot: &Bot, one, other| [(0, seen(bot, work(0, one))), (1, seen(bot, work(0, other)))];
        assert_eq!(busy_for(&bot.observe(of_both(&bot, "bf", "fb"))), Some(0));
        assert_eq!(bot.observe(of_both(&bot, "bf", "ff")).order.unwrap().free, [2]);
    }

    #[test]
    fn during_the_wait_after_a_scale_waits_for_both() {
        let mut bot = bot(3);
        bot.policy.wait_after_scale = Duration::from_secs(100);
        assert_eq!(order_of(&bot.see(0, "fff")), Some((3, 2)));
        bot.second = 50;
        assert!(matches!(bot.see(0, "ff").held, Some(Held::Waiting(_))));
        assert_eq!(busy_for(&bot.see(0, "fb")), Some(0));
        bot.second = 100;
        assert_eq!(busy_for(&bot.see(0, "fb")), Some(50));
    }
}

mod the_longest_wait {
    use super::*;

    #[test]
    fn ends_the_protection() {
        let mut bot = bot(3);
        for second in (0..3600).step_by(30) {
            bot.second = second;
            assert_eq!(busy_for(&bot.see(0, "bbb")), Some(second));
        }
        bot.second = 3600;
        let outcome = bot.see(0, "bbb");
        assert_eq!(order_of(&outcome), Some((3, 2)));
        assert_eq!(
            outcome.decision.reason.sentence,
            "1 reading at or below 0 tasks (0); number 3 is busy, and the platform stops the highest number first, but \
             work was waited for 60 min already, as long as is allowed"
        );
    }

    #[test]
    fn begins_anew_after_a_scale() {
        let mut bot = bot(3);
        bot.see(0, "bbb");
        bot.second = 3600;
        assert_eq!(order_of(&bot.see(0, "bbb")), Some((3, 2)));
        bot.second = 3605;
        assert_eq!(busy_for(&bot.see(0, "bb")), Some(0));
        bot.second = 3605 + 3599;
        assert_eq!(busy_for(&bot.see(0, "bb")), Some(3599));
    }

    #[test]
    fn goes_on_when_the_platform_refused() {
        let mut bot = bot(3);
        bot.see(0, "bbb");
        bot.second = 3600;
        let sample = seen(&bot, work(0, "bbb"));
        let order = bot.observe([(0, sample)]).order.unwrap();
        bot.settle(&order, &Settled::Failed(scale_failure(None)));
        bot.second = 3602;
        assert_eq!(order_of(&bot.see(0, "bbb")), Some((3, 2)), "nobody waits for another hour");
    }

    #[test]
    fn of_0_never_holds() {
        for letters in ["bbb", "---", "ffb"] {
            let mut bot = bot(3);
            bot.policy.protection.max_busy_wait = Duration::ZERO;
            let outcome = bot.see(0, letters);
            assert_eq!(order_of(&outcome), Some((3, 2)), "{letters}");
            assert!(outcome.decision.reason.sentence.ends_with(", and nobody is waited for"), "{outcome:?}");
        }
    }

    #[test]
    fn begins_only_when_somebody_is_waited_for() {
        let mut bot = bot(3);
        bot.policy.protection.max_busy_wait = Duration::ZERO;
        let sample = seen(&bot, work(0, "bbb"));
        let order = bot.observe([(0, sample)]).order.unwrap();
        // Three still run, so that the same is wanted when the settings change.
        bot.settle(&order, &Settled::AlreadyThere);
        bot.policy.protection.max_busy_wait = Duration::from_secs(3600);
        bot.state = bot.state.clone().carried_over(&bot.policy, true);
        bot.second = 3600;
        assert_eq!(busy_for(&bot.see(0, "bbb")), Some(0));
    }

    #[test]
    fn goes_on_and_does_not_begin_when_somebody_asks_for_fewer_at_once() {
        for (first_held, held) in [(None, 0), (Some(0), 3000)] {
            let mut bot = bot(3);
            if let Some(second) = first_held {
                bot.second = second;
                assert_eq!(busy_for(&bot.see(0, "bbb")), Some(0));
            }
            bot.second = 2000;
            let commanded = Commanded { command: Command::Scale { count: 1 }, reason: "the sale".to_owned() };
            command(&mut bot.state, &commanded, &at(bot.second));
            let sample = seen(&bot, work(0, "bbb"));
            let order = bot.observe([(0, sample)]).order.unwrap();
            bot.settle(&order, &Settled::Failed(scale_failure(None)));
            let given_up = Commanded { command: Command::Resume, reason: "not today".to_owned() };
            command(&mut bot.state, &given_up, &at(bot.second));
            bot.second = 3000;
            assert_eq!(busy_for(&bot.see(0, "bbb")), Some(held), "held first at {first_held:?}");
        }
    }

    #[test]
    fn begins_anew_when_meanwhile_no_shrink_was_wanted() {
        for (name, waiting, letters) in [("between", 5, "bbb"), ("high", 50, "bbb"), ("safe to go", 0, "fff")] {
            let mut bot = bot(3);
            bot.see(0, "bbb");
            bot.second = 60;
            let sample = seen(&bot, work(waiting, letters));
            // The platform is not asked, so nothing else begins anew.
            bot.observe([(0, sample)]);
            bot.second = 90;
            assert_eq!(busy_for(&bot.see(0, "bbb")), Some(0), "{name}");
        }
    }

    #[test]
    fn goes_on_over_measurements_and_counts_that_fail() {
        let mut bot = bot(3);
        bot.see(0, "bbb");
        bot.second = 30;
        bot.fail();
        bot.second = 60;
        assert_eq!(busy_for(&bot.see(0, "bbb")), Some(60));
        let now = at(90);
        observe(&bot.policy, &mut bot.state, [], Err(scale_failure(None)), &now);
        bot.second = 120;
        assert_eq!(busy_for(&bot.see(0, "bbb")), Some(120));
    }

    #[test]
    fn goes_on_until_a_run_that_a_failure_broke_is_long_enough_again() {
        let held_at_60_s = |between: &[Option<u64>]| {
            let mut bot = bot_of([patient()], 3);
            (0..3).for_each(|_| drop(bot.see(0, "bbb")));
            for (second, waiting) in (10..).zip(between) {
                bot.second = second;
                match waiting {
                    Some(waiting) => assert_eq!(order_of(&bot.see(*waiting, "bbb")), None),
                    None => assert_eq!(order_of(&bot.fail()), None),
                }
            }
            bot.second = 60;
            (0..3).fold(None, |_, _| busy_for(&bot.see(0, "bbb")))
        };
        for (name, between, held) in [
            ("nothing failed", vec![], 60),
            ("one failed", vec![None], 60),
            ("a long outage", vec![None; 12], 60),
            ("one failed and two were low", vec![None, Some(0), Some(0)], 60),
            ("one failed and then more was there", vec![None, Some(5)], 0),
            ("more was there, then one failed", vec![Some(5), None], 0),
            ("every other one fails and more is there", vec![None, Some(5), None, Some(5), None], 0),
        ] {
            assert_eq!(held_at_60_s(&between), Some(held), "{name}");
        }
    }

    #[test]
    fn goes_on_through_json_and_to_other_settings() {
        let mut bot = bot(3);
        bot.see(0, "bbb");
        bot.state = serde_json::from_str(&serde_json::to_string(&bot.state).unwrap()).unwrap();
        bot.state = bot.state.clone().carried_over(&bot.policy, true);
        bot.second = 45;
        assert_eq!(busy_for(&bot.see(0, "bbb")), Some(45));
    }
}

mod an_item_that_waits {
    use super::*;

    fn asleep() -> Bot {
        let mut bot = bot_of([patient()], 0);
        bot.policy.wait_after_scale = Duration::from_secs(100);
        bot
    }

    #[test]
    fn wakes_a_process_at_once_whatever_the_thresholds() {
        let outcome = asleep().see(1, "");
        assert_eq!((order_of(&outcome), outcome.held, outcome.limit), (Some((0, 1)), None, None));
        let reason = outcome.decision.reason;
        assert_eq!((&*reason.key, &*reason.sentence), ("wake", "no process runs and 1 waiting"));
        assert_eq!(outcome.decision.direction, Direction::Up);
    }

    #[test]
    fn wakes_it_even_during_the_wait_after_a_scale() {
        // 1 is below what the policy calls high, 99 above it.
        for waiting in [1, 99] {
            let mut bot = asleep();
            bot.running = 1;
            (0..3).for_each(|_| drop(bot.see(0, "f")));
            assert_eq!(bot.running, 0);
            bot.second = 1;
            assert_eq!(order_of(&bot.see(waiting, "")), Some((0, 1)), "{waiting} waiting");
        }
    }

    #[test]
    fn is_not_asked_for_while_the_platform_is_left_alone() {
        for waiting in [1, 99] {
            let mut bot = asleep();
            let sample = seen(&bot, work(waiting, ""));
            let order = bot.observe([(0, sample)]).order.unwrap();
            bot.settle(&order, &Settled::Failed(scale_failure(Some(30))));
            bot.second = 29;
            let outcome = bot.see(waiting, "");
            assert_eq!(outcome.held, Some(Held::BackingOff(Duration::from_secs(1))), "{waiting} waiting");
            bot.second = 30;
            assert_eq!(order_of(&bot.see(waiting, "")), Some((0, 1)), "{waiting} waiting");
        }
    }

    #[test]
    fn wakes_nobody_where_nobody_may_run_or_nothing_is_known() {
        let mut closed = bot_of([watched(0, 0)], 0);
        assert_eq!(order_of(&closed.see(9, "")), None, "max is 0");
        assert_eq!(order_of(&asleep().see(0, "")), None, "nothing waits");
        assert_eq!(order_of(&asleep().fail()), None, "nobody knows");
        let mut bot = asleep();
        let old = seen(&bot, work(9, ""));
        bot.second = 16;
        assert_eq!(order_of(&bot.observe([(0, old)])), None, "it was so 16 s ago");
    }

    #[test]
    fn may_be_seen_by_any_signal_and_the_one_that_sees_most_speaks() {
        let mut bot = bot_of([patient(), patient(), patient()], 0);
        let samples = [1, 7, 7].map(|waiting| seen(&bot, work(waiting, "")));
        let outcome = bot.observe(samples.into_iter().enumerate());
        assert_eq!((order_of(&outcome), outcome.signal), (Some((0, 1)), 1));
        assert_eq!(outcome.decision.reason.sentence, "no process runs and 7 waiting");
        let mut bot = bot_of([watched(0, 0), watched(0, 3)], 0);
        let samples = [9, 2].map(|waiting| seen(&bot, work(waiting, "")));
        let outcome = bot.observe(samples.into_iter().enumerate());
        assert_eq!((order_of(&outcome), outcome.signal), (Some((0, 1)), 1), "the first may have none");
    }

    #[test]
    fn gets_as_many_as_the_policy_wants_if_that_is_more() {
        let settings = json!({
            "min_measurement_value": 0, "max_measurement_value": 10,
            "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
        });
        let decide = crate::examples::build("ConsecutiveThreshold", settings, 3, "tasks");
        let outcome = bot_of([Signal { decide, ..watched(0, 9) }], 0).see(99, "");
        assert_eq!((order_of(&outcome), &*outcome.decision.reason.key), (Some((0, 3)), "consecutive_high"));
    }

    #[test]
    fn keeps_the_last_process_which_would_only_be_woken_again() {
        let settings = json!({
            "min_measurement_value": 5, "max_measurement_value": 10,
            "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
        });
        let low_at_5 = |increment| Signal {
            decide: crate::examples::build("ConsecutiveThreshold", settings.clone(), increment, "tasks"),
            ..watched(0, 9)
        };
        for scale_down_when in [ScaleDownWhen::Always, ScaleDownWhen::Idle] {
            let mut bot = bot_of([low_at_5(9)], 3);
            bot.policy.protection.scale_down_when = scale_down_when;
            let outcome = bot.see(4, "fff");
            assert_eq!(order_of(&outcome), Some((3, 1)), "{scale_down_when:?}");
            assert!(outcome.decision.reason.sentence.ends_with("; the last one stays, 4 waiting"), "{outcome:?}");
            bot.second = 30;
            let outcome = bot.see(4, "f");
            assert_eq!((order_of(&outcome), outcome.held), (None, None), "{scale_down_when:?}");
            assert_eq!(order_of(&bot.see(0, "f")), Some((1, 0)), "{scale_down_when:?}");
        }
        let mut closed = bot_of([watched(0, 0)], 1);
        closed.policy.protection.scale_down_when = ScaleDownWhen::Always;
        assert_eq!(order_of(&closed.see(4, "f")), Some((1, 0)), "max 0 is max 0");
    }
}
