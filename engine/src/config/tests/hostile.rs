//! Files that nobody means: any bytes, and far too much of everything.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["a.toml", "a.yaml", "a.json", "a.py"];

/// Deeper than any stack, if reading followed the nesting.
const DEEP: usize = 100_000;

#[test]
fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
    let brackets = |open: &str, close: &str| format!("{}{}", open.repeat(DEEP), close.repeat(DEEP));
    let texts = [
        ("a.toml", format!("a = {}", brackets("[", "]"))),
        ("a.toml", format!("a = {}1{}", "{b=".repeat(DEEP), "}".repeat(DEEP))),
        ("a.toml", format!("{}b = 1", "a.".repeat(DEEP))),
        ("a.toml", format!("[{}b]\nc = 1", "a.".repeat(DEEP))),
        ("a.json", brackets("[", "]")),
        ("a.json", format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP))),
        ("a.json", "[".repeat(DEEP)),
        ("a.yaml", brackets("[", "]")),
        ("a.yaml", brackets("{a: ", "}")),
        ("a.yaml", "- ".repeat(DEEP)),
        ("a.yaml", "? ".repeat(DEEP)),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}", brackets("[", "]"))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}", brackets("(", ")"))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}", "[".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "-".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "not ".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "1+".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "2**".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "lambda: ".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "lambda a,: ".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = {}1", "1 if 1 else ".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = a{}", ".b".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = a{}", "()".repeat(DEEP))),
        ("a.py", format!("AUTOSCALE_SETTINGS = a{}", "[0]".repeat(DEEP))),
        ("a.py", format!("{}1", "a = ".repeat(DEEP))),
        ("a.py", format!("match a:\n case {}: pass", brackets("[", "]"))),
        (
            "a.py",
            (0..3000).map(|depth| format!("{}if a:\n", " ".repeat(depth))).collect::<String>()
                + &" ".repeat(3000)
                + "pass",
        ),
        ("a.py", format!("if a: pass\n{}", "elif a: pass\n".repeat(DEEP / 10))),
        ("a.py", format!("a = []\n{}AUTOSCALE_SETTINGS = a", "a = [a]\n".repeat(DEEP / 10))),
    ];
    for (name, text) in texts {
        let errors = load::from_text(name, &text, &nothing()).map(|_| ()).unwrap_err();
        assert!(!errors.errors.is_empty() && errors.render(false).len() < 20_000, "{name} {}", &text[..60]);
    }
}

#[test]
fn names_that_repeat_each_other_do_not_fill_the_memory() {
    let doubling: String = (0..60).map(|step| format!("a{} = [a{step}, a{step}]\n", step + 1)).collect();
    let python = format!("a0 = [1]\n{doubling}AUTOSCALE_SETTINGS = a60\n");
    let text = format!("a = 'x'\n{}AUTOSCALE_SETTINGS = a\n", "a = a + a\n".repeat(60));
    let doubling: String =
        (0..60).map(|step| format!("a{}: &a{} [*a{step}, *a{step}]\n", step + 1, step + 1)).collect();
    let yaml = format!("a0: &a0 [1]\n{doubling}");
    for (name, text) in [("a.py", python), ("a.py", text), ("a.yaml", yaml)] {
        assert!(load::from_text(name, &text, &nothing()).is_err(), "{name}");
    }
}

#[test]
fn an_error_in_a_very_long_line_shows_only_the_part_around_it() {
    let many: String = (0..1_500).map(|index| format!("\"p{index}\": {{\"scaling\": \"DryRun\"}}, ")).collect();
    let text = format!("{{{many} \"web\": {{\"scaling\": \"DryRnu\"}}, {}\"last\": {{}}}}", many.replace("\"p", "\"q"));
    let shown = refused("a.json", &text);
    assert!(shown.contains("DryRnu") && shown.contains("did you mean DryRun"), "{}", &shown[..2000.min(shown.len())]);
    let first = shown.split("\n\n").find(|part| part.contains("DryRnu")).unwrap();
    assert!(first.len() < 1500, "{}", first.len());
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC*", which in 0..4_usize) {
        let _ = load::from_text(NAMES[which], &text, &nothing());
    }

    #[test]
    fn no_pile_of_pieces_makes_a_parser_panic(
        pieces in proptest::collection::vec(prop_oneof![
            Just("AUTOSCALE_SETTINGS = "), Just("web"), Just("{"), Just("}"), Just("["), Just("]"), Just("'"), Just("\""),
            Just(":"), Just("="), Just(","), Just("\n"), Just("  "), Just("- "), Just("#"), Just("${"), Just("&a "),
            Just("*a"), Just("<<: "), Just("f'{"), Just("%s"), Just(".format("), Just("os.environ["), Just("é"), Just("1e999"),
            Just("0x"), Just("\\u"), Just("ud800"), Just("scaling"), Just("measurement"), Just("settings"), Just("\r"),
            Just("signals"), Just("backend"), Just("DryRun"), Just("\t"), Just("!!"), Just("|"), Just("\u{feff}"), Just("? "),
        ], 0..40),
        which in 0..4_usize,
    ) {
        let _ = load::from_text(NAMES[which], &pieces.concat(), &nothing());
    }

    #[test]
    fn a_right_file_with_one_wrong_place_never_panics(place in 0..2000_usize, put in "\\PC{0,3}", which in 0..4_usize) {
        let names = ["original_web.toml", "original_web.yaml", "original_web.json", "original_web.py"];
        let mut text = fixture(names[which]);
        let place = (0..=place.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let next = text[place..].chars().next().map_or(place, |letter| place + letter.len_utf8());
        text.replace_range(place..next, &put);
        if let Err(errors) = load::from_text(NAMES[which], &text, &nothing()) {
            let _ = errors.render(true);
        }
    }
}
