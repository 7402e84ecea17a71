//! Times as people write them: `2h`, `03:00`, `yesterday`, `2026-11-27 03:00`, and RFC 3339 for programs.
//!
//! Pure: now and the time zone are handed in. Whatever can be meant in two ways (`03/04`) is refused rather than guessed.

use std::time::Duration;

use jiff::{
    SignedDuration, Timestamp, ToSpan, ZonedDateTime,
    civil::{Date, DateTime, Time, Weekday},
    tz::TimeZone,
};

/// What can be written, for errors and help.
pub const EXPECTED: &str = "how long ago (90s, 30min, 2h, 1d, 1w), a time (03:00), a day (today, yesterday, monday, 2026-11-27), \
     both (\"yesterday 03:00\"), or RFC 3339";

/// The moment that is meant.
///
/// # Errors
/// What cannot be understood.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if lower == "now" {
        return Ok(now);
    }
    if let Some(ago) = ago(lower.strip_suffix(" ago").unwrap_or(&lower)) {
        return ago.and_then(|ago| {
            let ago = SignedDuration::try_from(ago).map_err(|_| TOO_LONG.to_owned())?;
            now.checked_sub(ago).map_err(|_| TOO_LONG.to_owned())
        });
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let here = now.to_zoned_datetime(zone.clone());
    if let Some(time) = time_of_day(&lower) {
        return last(time, &here);
    }
    // RFC 3339 has a T between day and time, which words for days have too.
    let at_t = || (lower.as_bytes().get(10) == Some(&b't')).then(|| (&lower[..10], &lower[11..]));
    let (day, time) = lower.split_once(' ').or_else(at_t).unwrap_or((&lower, ""));
    let Some(date) = date(day, &here) else { return Err("this is no time that can be understood".to_owned()) };
    let time = match time.trim() {
        "" => Time::midnight(),
        time => time_of_day(time).ok_or_else(|| format!("{time:?} is no time of day"))?,
    };
    let moment = DateTime::from_parts(date, time).to_zoned_datetime(zone.clone()).map_err(|error| error.to_string())?;
    Ok(moment.timestamp())
}

const TOO_LONG: &str = "so long ago there was nothing";

/// `2h`, `1h30min`, `1d 12h`; nothing when it is no length of time, an error when it is one that cannot be.
fn ago(text: &str) -> Option<Result<Duration, String>> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if !rest.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 7 * 86_400,
            _ => return None,
        };
        let length = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
        let sum = length.and_then(|length| total.checked_add(Duration::from_secs(length)));
        total = match sum {
            Some(sum) => sum,
            None => return Some(Err(TOO_LONG.to_owned())),
        };
        rest = after.trim_start();
    }
    Some(Ok(total))
}

fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute) = (parts.next()?, parts.next()?);
    let second = parts.next().unwrap_or("0");
    let number = |text: &str| (1..=2).contains(&text.len()).then(|| text.parse::<i8>().ok()).flatten();
    if parts.next().is_some() {
        return None;
    }
    Time::new(number(hour)?, number(minute)?, number(second)?, 0).ok()
}

/// The last time that the clock showed this.
fn last(time: Time, here: &ZonedDateTime) -> Result<Timestamp, String> {
    let on = |date: Date| {
        let moment = DateTime::from_parts(date, time).to_zoned_datetime(here.time_zone().clone());
        moment.map(|moment| moment.timestamp()).map_err(|error| error.to_string())
    };
    let today = on(here.date())?;
    if today <= here.timestamp() { Ok(today) } else { on(here.date().saturating_sub(1.day())) }
}

fn date(text: &str, here: &ZonedDateTime) -> Option<Date> {
    let today = here.date();
    let weekday = match text {
        "today" => return Some(today),
        "yesterday" => return Some(today.saturating_sub(1.day())),
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        // jiff takes 20261127 as well, which is more likely a slip than a day.
        _ => return (text.len() == 10).then(|| text.parse().ok()).flatten(),
    };
    // The last one that has begun; today when it is today.
    today.tomorrow().ok()?.nth_weekday(-1, weekday).ok()
}

/// `2026-11-27 03:00:12`, in a zone.
#[must_use]
pub fn with_date(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `03:00:12`.
#[must_use]
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S").to_string()
}

/// `Friday, 2026-11-27`.
#[must_use]
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%A, %Y-%m-%d").to_string()
}

/// What a zone is called in a headline: its name, else its offset at this moment.
#[must_use]
pub fn zone_name(at: Timestamp, zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some("Etc/UTC") => "UTC".to_owned(),
        Some(name) => name.to_owned(),
        None => at.to_zoned_datetime(zone.clone()).strftime("UTC%:z").to_string(),
    }
}

/// `12 s ago`, with the two largest units for what is long ago.
#[must_use]
pub fn ago_in_words(at: Timestamp, now: Timestamp) -> String {
    let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    match age.as_secs() {
        0 => "just now".to_owned(),
        seconds @ 1..60 => format!("{seconds} s ago"),
        seconds => format!("{} ago", length(Duration::from_secs(seconds))),
    }
}

/// `5 min`, `3 h 5 min`, `2 d 3 h`.
#[must_use]
pub fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 if minutes == 0 => format!("{hours} h"),
        3_600..86_400 => format!("{hours} h {minutes} min"),
        _ if hours == 0 => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Saturday noon in Berlin, where it is an hour later than in UTC.
    fn meant(text: &str) -> Result<String, String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        parse(text, "2026-11-28T11:30:00Z".parse().unwrap(), &zone).map(|at| with_date(at, &zone))
    }

    #[test]
    fn every_way_to_write_a_time_means_what_a_person_means_by_it() {
        for (text, expected) in [
            ("now", "2026-11-28 12:30:00"),
            ("90s", "2026-11-28 12:28:30"),
            ("30min", "2026-11-28 12:00:00"),
            ("30 minutes ago", "2026-11-28 12:00:00"),
            ("2h", "2026-11-28 10:30:00"),
            ("1h30m", "2026-11-28 11:00:00"),
            ("1d", "2026-11-27 12:30:00"),
            ("1d 12h", "2026-11-27 00:30:00"),
            ("1w", "2026-11-21 12:30:00"),
            ("03:00", "2026-11-28 03:00:00"),
            ("3:00", "2026-11-28 03:00:00"),
            ("12:30", "2026-11-28 12:30:00"),
            ("12:30:01", "2026-11-27 12:30:01"),
            ("23:15", "2026-11-27 23:15:00"),
            ("today", "2026-11-28 00:00:00"),
            ("yesterday", "2026-11-27 00:00:00"),
            ("Yesterday 03:00", "2026-11-27 03:00:00"),
            ("saturday", "2026-11-28 00:00:00"),
            ("monday 09:00", "2026-11-23 09:00:00"),
            ("sunday", "2026-11-22 00:00:00"),
            ("2026-11-27", "2026-11-27 00:00:00"),
            ("2026-11-27 03:00", "2026-11-27 03:00:00"),
            ("2026-11-27T03:00:05", "2026-11-27 03:00:05"),
            ("2026-11-27T03:00:00Z", "2026-11-27 04:00:00"),
            ("2026-11-27T03:00:00+05:00", "2026-11-26 23:00:00"),
        ] {
            assert_eq!(meant(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_and_not_guessed() {
        for text in [
            "",
            "soon",
            "25:00",
            "3",
            "03:00pm",
            "03/04",
            "20261127",
            "2026-13-01",
            "yesterday noon",
            "-2h",
            "2y",
            "1:2:3:4",
        ] {
            assert!(meant(text).is_err(), "{text}: {:?}", meant(text));
        }
        assert_eq!(meant("99999999999999999999d"), Err(TOO_LONG.to_owned()));
        assert_eq!(meant("9999999d"), Err(TOO_LONG.to_owned()));
    }

    #[test]
    fn an_hour_that_the_clock_skips_is_the_one_after_it() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now = "2026-03-29T12:00:00Z".parse().unwrap();
        assert_eq!(with_date(parse("02:30", now, &zone).unwrap(), &zone), "2026-03-29 03:30:00");
    }

    #[test]
    fn ages_have_two_units_at_most() {
        let now: Timestamp = "2026-11-28T11:30:00Z".parse().unwrap();
        for (age, words) in [
            (0, "just now"),
            (12, "12 s ago"),
            (119, "1 min ago"),
            (25 * 60, "25 min ago"),
            (3 * 3600 + 300, "3 h 5 min ago"),
            (51 * 3600, "2 d 3 h ago"),
        ] {
            assert_eq!(ago_in_words(now - SignedDuration::from_secs(age), now), words);
        }
    }
}
