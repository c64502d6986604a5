//! Times as people and JSON read them. UTC only.

/// `2026-11-21T04:05:06Z` for milliseconds since the Unix epoch.
pub fn rfc3339_of_ms(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Gregorian date of a day counted from 1970-01-01, by 400-year eras that begin on 1 March.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_ERA: u64 = 146_097;
    const DAYS_TO_1970: u64 = 719_468;
    let shifted = days + DAYS_TO_1970;
    let (era, day_of_era) = (shifted / DAYS_OF_ERA, shifted % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Milliseconds since the Unix epoch of a time as RFC 3339 writes it, or of a day alone, which is its beginning in UTC.
/// `None` where it is none, or before 1970.
pub fn ms_of_rfc3339(text: &str) -> Option<u64> {
    let (day, time) = match text.split_at_checked(10)? {
        (day, "") => (day, None),
        (day, rest) => (day, Some(rest.strip_prefix(['T', 't', ' '])?)),
    };
    let days = days_of(day)?;
    let of_day = match time {
        Some(time) => ms_of_day(time)?,
        None => 0,
    };
    u64::try_from(days * MS_OF_DAY + of_day).ok()
}

const MS_OF_DAY: i64 = 86_400_000;

/// Days since 1970-01-01 of `2026-11-21`.
fn days_of(text: &str) -> Option<i64> {
    let [year, month, day] = numbers(text, '-', [4, 2, 2])?;
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // By eras that begin on 1 March, as above.
    let (month_from_march, of_year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let (era, year_of_era) = (of_year / 400, of_year % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    // A day that there is not comes out as another.
    let is_there = u64::try_from(days).map(civil_from_days) == Ok((year as u64, month as u64, day as u64));
    is_there.then_some(days)
}

/// Milliseconds since midnight in UTC of `04:05:06.789+02:00`; may be before the day, or after it.
fn ms_of_day(text: &str) -> Option<i64> {
    let (clock, rest) = text.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            rest.split_at_checked(digits)?
        }
        None => ("", rest),
    };
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), zone) => {
            let [hours, minutes] = numbers(zone, ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if sign == "+" { minutes } else { -minutes }
        }
        _ => return None,
    };
    // A leap second counts as the one after.
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then_some(((hour * 60 + minute - offset) * 60 + second) * 1_000 + ms)
}

/// Numbers of exactly these digits with a separator between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = if is_number { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_233_906_000, "2026-11-21T04:05:06Z"),
        ];
        for (ms, expected) in cases {
            assert_eq!(rfc3339_of_ms(ms), expected);
        }
    }
    #[test]
    fn times_are_read_as_they_are_written() {
        for ms in [0, 951_782_400_000, 951_868_800_000, 1_795_233_906_000, 4_102_444_799_000] {
            assert_eq!(ms_of_rfc3339(&rfc3339_of_ms(ms)), Some(ms));
        }
        let noon = ms_of_rfc3339("2026-11-21T12:00:00Z");
        for same in ["2026-11-21t12:00:00z", "2026-11-21 14:30:00+02:30", "2026-11-21T12:00:00.0009-00:00"]
        {
            assert_eq!(ms_of_rfc3339(same), noon, "{same}");
        }
        assert_eq!(ms_of_rfc3339("2026-11-21"), noon.map(|noon| noon - 43_200_000));
        assert_eq!(ms_of_rfc3339("2026-11-21T12:00:00.25Z"), noon.map(|noon| noon + 250));
    }

    #[test]
    fn what_is_no_time_is_none() {
        let none = [
            "",
            "now",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
            "2026-1-1",
            "+026-11-21",
            "2026-11-21T",
            "2026-11-21T12:00",
            "2026-11-21T12:00:00",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00Zulu",
            "2026-11-21T12:00:00+2:00",
            "2026-11-21T12:00:00+24:00",
            "1970-01-01T00:00:00+01:00",
            "2026-11-2éT12:00:00Z",
            "2026-11-21T12:00:0é",
        ];
        for text in none {
            assert_eq!(ms_of_rfc3339(text), None, "{text}");
        }
    }
}
