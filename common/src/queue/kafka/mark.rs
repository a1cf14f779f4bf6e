//! What is committed beside an offset: whether somebody works on the
//! partition, how often that ended badly, and what is done beyond the offset.

/// Longest mark, in bytes; brokers take 4096 unless told otherwise.
pub const MARK_MAX: usize = 3000;

const VERSION: &str = "faas1";

/// The note beside a committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// Whether the one who wrote it was still at work.
    pub owned: bool,
    /// How often in a row a worker on this partition died without finishing
    /// the message at the offset.
    pub takeovers: u32,
    /// Ranges that are done beyond the offset: how far each begins after the
    /// end of the one before (the first: after the offset), and its length.
    pub ranges: Vec<(u64, u64)>,
    /// Joins that fired before all of their parts were there, the oldest first.
    pub fired: Vec<u64>,
}

impl Mark {
    /// As text of at most [`MARK_MAX`] bytes: `faas1;o;2;3.5,1.a;7f`, ranges
    /// and joins in hexadecimal, joins only where there are some. The farthest
    /// ranges are left out when they do not fit.
    pub fn print(&self) -> String {
        let owned = if self.owned { "o" } else { "f" };
        let mut text = format!("{VERSION};{owned};{};", self.takeovers);
        let fired: Vec<String> = self.fired.iter().map(|key| format!("{key:x}")).collect();
        let fired = if fired.is_empty() { String::new() } else { format!(";{}", fired.join(",")) };
        for (index, (gap, len)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let range = format!("{comma}{gap:x}.{len:x}");
            if text.len() + range.len() + fired.len() > MARK_MAX {
                break;
            }
            text.push_str(&range);
        }
        text + &fired
    }

    /// Reads one. What does not parse was written by somebody else, and says
    /// nothing to us.
    pub fn parse(text: &str) -> Self {
        Self::try_parse(text).unwrap_or_default()
    }

    fn try_parse(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        if fields.next() != Some(VERSION) {
            return None;
        }
        let owned = match fields.next()? {
            "o" => true,
            "f" => false,
            _ => return None,
        };
        let takeovers = fields.next()?.parse().ok()?;
        let ranges = fields.next()?.split(',').filter(|range| !range.is_empty());
        let ranges = ranges.map(range).collect::<Option<_>>()?;
        let fired = match fields.next() {
            None => Vec::new(),
            Some(fired) => fired.split(',').map(hexadecimal).collect::<Option<_>>()?,
        };
        fields.next().is_none().then_some(Self { owned, takeovers, ranges, fired })
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn range(text: &str) -> Option<(u64, u64)> {
    let (gap, len) = text.split_once('.')?;
    let number = |text| hexadecimal(text).filter(|n| *n > 0 && *n < 1 << 60);
    Some((number(gap)?, number(len)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let ranges = vec![(3, 5), (1, 10)];
        let mark = Mark { owned: true, takeovers: 2, ranges, fired: Vec::new() };
        assert_eq!(mark.print(), "faas1;o;2;3.5,1.a");
        assert_eq!(Mark::parse(&mark.print()), mark);
        let mark = Mark { ranges: Vec::new(), fired: vec![0x7f, 1], ..mark };
        assert_eq!(mark.print(), "faas1;o;2;;7f,1");
        assert_eq!(Mark::parse(&mark.print()), mark);
        assert_eq!(Mark::parse(&Mark::default().print()), Mark::default());
    }

    #[test]
    fn what_others_wrote_says_nothing() {
        for text in [
            "",
            "x",
            "faas1",
            "faas2;o;1;",
            "faas1;o;1;0.1",
            "faas1;o;1;1.1;x",
            "faas1;o;-1;",
            "faas1;o;1;;",
            "faas1;o;1;;1;2",
        ] {
            assert_eq!(Mark::parse(text), Mark::default(), "{text}");
        }
    }

    #[test]
    fn the_farthest_are_left_out() {
        let mark = Mark { ranges: vec![(0x1000, 0x1000); 1000], ..Mark::default() };
        let text = mark.print();
        assert!(text.len() <= MARK_MAX);
        let kept = Mark::parse(&text).ranges;
        assert!(kept.len() > 200 && kept == mark.ranges[..kept.len()]);
    }
}
