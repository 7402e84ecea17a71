//! What people say: to pause, to hold, to scale now; within the bounds, shown in every decision, until it is over.

use super::*;
use crate::control::{Command, Mode};

fn say(bot: &mut Bot, command: Command) -> Vec<Event> {
    let commanded = Commanded { command, reason: "the sale".to_owned() };
    super::command(&mut bot.state, &commanded, &at(bot.second))
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn a_pause_keeps_the_decision_and_withholds_the_order() {
    for (scope, up, down) in [(Scope::All, false, false), (Scope::Up, false, true), (Scope::Down, true, false)] {
        let mut bot = Bot::with_bounds(1, 9, 5);
        say(&mut bot, Command::Pause { scope, length: None });
        let outcome = bot.look("99");
        assert_eq!((outcome.decision.wanted, outcome.order.is_some()), (6, up), "{scope:?}");
        assert_eq!(outcome.held.is_none(), up);
        let outcome = bot.look("0");
        assert_eq!((outcome.decision.wanted, outcome.order.is_some()), (4, down), "{scope:?}");
        assert_eq!(outcome.decision.reason.sentence.contains("; paused"), !down);
    }
}

#[test]
fn a_pause_holds_what_is_outside_the_bounds_too() {
    let mut bot = Bot::with_bounds(1, 3, 7);
    say(&mut bot, Command::Pause { scope: Scope::All, length: None });
    assert_eq!(bot.look("99").held, Some(Held::Paused(Scope::All)));
    say(&mut bot, Command::Resume);
    assert_eq!(order_of(&bot.look("99")), Some((7, 3)));
}

#[test]
fn a_pause_with_a_length_ends_by_itself_and_says_so() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    say(&mut bot, Command::Pause { scope: Scope::All, length: seconds(60) });
    bot.second = 59;
    assert_eq!(order_of(&bot.look("99")), None);
    bot.second = 60;
    let outcome = bot.look("99");
    assert_eq!(order_of(&outcome), Some((1, 2)));
    assert!(has(&outcome.events, |event| matches!(event, Event::ControlExpired { mode: Mode::Paused { .. }, .. })));
    assert_eq!(bot.state.control, Control::default());
}

#[test]
fn what_stood_before_stands_again_when_something_shorter_is_over() {
    let pause = |scope, length| Command::Pause { scope, length };
    let hold = |length| Command::Hold { count: 3, length };
    let all = |until| Mode::Paused { scope: Scope::All, until, reason: "the sale".to_owned() };
    let cases = [
        (vec![pause(Scope::All, None), hold(seconds(10))], all(None)),
        (vec![pause(Scope::All, seconds(60)), hold(seconds(10))], all(seconds(60))),
        // The newest of those that last longer.
        (vec![pause(Scope::All, None), hold(seconds(20)), pause(Scope::Up, seconds(10))], all(None)),
        // It would be over itself by now; was ended by a person; or was replaced for good.
        (vec![pause(Scope::All, seconds(15)), hold(seconds(10))], Mode::Automatic),
        (vec![pause(Scope::All, None), Command::Resume, hold(seconds(10))], Mode::Automatic),
        (vec![pause(Scope::All, None), hold(None), pause(Scope::Up, seconds(10))], hold_at_3()),
    ];
    for (commands, expected) in cases {
        let mut bot = Bot::with_bounds(1, 9, 3);
        for command in commands.clone() {
            say(&mut bot, command);
        }
        bot.second = 30;
        let outcome = bot.look("5");
        assert_eq!(bot.state.control.mode, expected, "{commands:?}");
        let told = |event: &Event| matches!(event, Event::ControlExpired { then, .. } if *then == expected);
        assert!(has(&outcome.events, told), "{commands:?}");
    }
}

fn hold_at_3() -> Mode {
    Mode::Held { count: 3, until: None, reason: "the sale".to_owned() }
}

#[test]
fn a_hold_goes_to_its_count_and_stays_whatever_is_measured() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    say(&mut bot, Command::Hold { count: 4, length: None });
    let outcome = bot.tick("0");
    assert_eq!(order_of(&outcome), Some((1, 4)));
    assert_eq!(outcome.decision.reason.sentence, "somebody holds it at 4: the sale");
    for word in ["99", "0", "refused", "timeout"] {
        assert_eq!(order_of(&bot.tick(word)), None, "{word}");
    }
    say(&mut bot, Command::Resume);
    bot.second += 60;
    assert_eq!(order_of(&bot.look("99")), Some((4, 5)));
}

#[test]
fn no_command_leaves_the_bounds() {
    for (command, expected) in [
        (Command::Hold { count: 40, length: None }, (2, 3)),
        (Command::Scale { count: 40 }, (2, 3)),
        (Command::Scale { count: 0 }, (2, 1)),
    ] {
        let mut bot = Bot::with_bounds(1, 3, 2);
        say(&mut bot, command);
        assert_eq!(order_of(&bot.look("5")), Some(expected));
    }
}

#[test]
fn scale_now_needs_no_wait_and_holds_once() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    bot.policy.wait_after_scale = Duration::from_secs(100);
    bot.tick("99");
    say(&mut bot, Command::Scale { count: 6 });
    assert_eq!(order_of(&bot.tick("5")), Some((2, 6)), "although the wait is on");
    assert_eq!(order_of(&bot.tick("5")), None);
    bot.second += 200;
    assert_eq!(order_of(&bot.tick("99")), Some((6, 7)), "the decisions have the say again");
}

#[test]
fn scale_now_goes_through_a_pause_and_leaves_it_on() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    say(&mut bot, Command::Pause { scope: Scope::All, length: None });
    say(&mut bot, Command::Scale { count: 3 });
    assert_eq!(order_of(&bot.tick("5")), Some((1, 3)));
    bot.second += 60;
    assert_eq!(bot.look("99").held, Some(Held::Paused(Scope::All)));
}

#[test]
fn scale_now_waits_until_the_platform_says_how_many_run() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    say(&mut bot, Command::Scale { count: 3 });
    let unknown = observe(&bot.policy, &mut bot.state, [], Err(scale_failure(None)), &at(0));
    assert_eq!(order_of(&unknown), None);
    assert_eq!(order_of(&bot.look("5")), Some((1, 3)));
}

#[test]
fn scale_now_is_asked_for_again_while_the_platform_refuses() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    say(&mut bot, Command::Scale { count: 3 });
    let order = bot.look("5").order.unwrap();
    bot.settle(&order, &Settled::Failed(scale_failure(None)));
    let outcome = bot.look("5");
    assert_eq!((outcome.decision.wanted, order_of(&outcome)), (3, None), "it backs off");
    bot.second += 2;
    assert_eq!(order_of(&bot.look("5")), Some((1, 3)));
    say(&mut bot, Command::Resume);
    assert_eq!(order_of(&bot.look("5")), None, "somebody thought better of it");
}

#[test]
fn the_last_command_wins_and_each_is_told() {
    let mut bot = Bot::with_bounds(1, 9, 1);
    say(&mut bot, Command::Pause { scope: Scope::All, length: None });
    let events = say(&mut bot, Command::Hold { count: 2, length: None });
    assert!(matches!(&events[..], [Event::Commanded { commanded }] if commanded.reason == "the sale"));
    assert_eq!(order_of(&bot.tick("0")), Some((1, 2)));
    say(&mut bot, Command::Pause { scope: Scope::Down, length: None });
    bot.second += 60;
    assert_eq!(bot.look("0").held, Some(Held::Paused(Scope::Down)));
}
