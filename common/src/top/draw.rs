//! The model on a screen of any size from 80 by 24 up; smaller ones are cut.

use super::json::Kind;
use super::message;
use super::model::Model;
use super::parts::{Ahead, Over, Page, Row as Queue};
use crate::cli::confirm::messages as messages_in_words;
use crate::cli::fit::{fitted, fitted_start, width_of};
use crate::event::Event;
use crate::look::{glance, place_of};
use crate::units::show_size;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table};

/// Width of a sparkline, and on a wide screen.
const SPARK: usize = 8;
const SPARK_WIDE: usize = 20;
/// Width of a wide screen.
const WIDE_FROM: u16 = 100;

/// How things look; without colours by weight alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) has_colours: bool,
}

impl Look {
    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn head(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn of(self, kind: Kind) -> Style {
        match kind {
            Kind::Name => self.colour(Color::Cyan),
            Kind::Text => self.colour(Color::Green),
            Kind::Word => self.colour(Color::Yellow),
            Kind::Mark => Style::new(),
        }
    }
}

/// Draws everything; returns the columns and rows there are for a message.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: Look) -> (usize, usize) {
    let footer = footer(model, look);
    // What went wrong is worth a second line, and a third.
    let lines = footer.width().div_ceil(usize::from(frame.area().width).max(1)).clamp(1, 3) as u16;
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(lines)])
            .areas(frame.area());
    let room = match &model.page {
        Page::Queues => {
            queues(frame, model, look, head, body);
            model.opened.room
        }
        Page::Messages(url) => messages(frame, model, look, url, head, body),
    };
    let wrap = ratatui::widgets::Wrap { trim: true };
    frame.render_widget(Paragraph::new(footer).wrap(wrap), foot);
    match &model.over {
        Over::Help => window(frame, "keys", &HELP.map(str::to_owned)),
        Over::Ask(question, _) => {
            let answers = "y: yes   any other key: no".to_owned();
            window(frame, "sure?", &[question.clone(), String::new(), answers]);
        }
        Over::Nothing | Over::Filter => {}
    }
    room
}

const HELP: [&str; 19] = [
    "up down j k   PgUp PgDn   g G    move",
    "Enter    look at the messages of a queue",
    "f        the same, and follow what comes",
    "Esc      back; or take the filter away",
    "/        only queues whose URL has this in it",
    "s  r     sort by the next column; turn around",
    "R        send dead letters again (asks first)",
    "P        remove the messages (asks first)",
    "Enter    on a message: go into its body, where Enter",
    "         folds and unfolds what begins on a line",
    "+ -      unfold and fold the whole body by a level",
    "space b  a page down and up in a message",
    "         behind the last message more are fetched",
    "?        this",
    "q        leave; so does Ctrl-C",
    "",
    "IN/S and OUT/S are of the last interval;",
    "- where a middleware does not count.",
    "Nothing here takes a message, but R and P.",
];

fn queues(frame: &mut Frame<'_>, model: &Model, look: Look, head: Rect, body: Rect) {
    let shown = model.shown();
    let total: u64 = shown.iter().map(|row| row.stat.depth).sum();
    let turned = if model.is_reversed { " reversed" } else { "" };
    let filter = match (&model.over, model.filter.as_str()) {
        (Over::Filter, filter) => format!("  filter: {filter}_"),
        (_, "") => String::new(),
        (_, filter) => format!("  filter: {filter}"),
    };
    let count = if shown.len() == 1 { "1 queue".into() } else { format!("{} queues", shown.len()) };
    let text = format!("  {count}, {total} waiting, by {}{turned}{filter}", model.sort.word());
    title(frame, look, head, model.middleware().unwrap_or("faas-queue top"), &text);
    let spark_width = if body.width >= WIDE_FROM { SPARK_WIDE } else { SPARK };
    // Numbers, and the gaps between all columns.
    let numbers = NUMBERS.iter().map(|width| usize::from(*width) + 1).sum::<usize>();
    let name_width = usize::from(body.width).saturating_sub(numbers + 1 + spark_width).max(12);
    let widths = [name_width as u16].into_iter().chain(NUMBERS).chain([spark_width as u16]);
    let widths = widths.map(Constraint::Length);
    let place = model.place().unwrap_or(0);
    let height = usize::from(body.height).saturating_sub(1);
    let first = place.saturating_sub(height.saturating_sub(1));
    let rows = shown.iter().enumerate().skip(first).take(height).map(|(at, queue)| {
        let style = if at == place { look.chosen() } else { Style::new() };
        let mut cells = cells(queue, model.name_of(queue), name_width);
        cells.push(spark(queue.depths.iter().copied(), spark_width));
        Row::new(cells).style(style)
    });
    let names =
        ["QUEUE", "  DEPTH", "  HELD", "   IN/S", "  OUT/S", "CAPACITY", "READERS", "HISTORY"];
    let table = Table::new(rows, widths).header(Row::new(names).style(look.head()));
    frame.render_widget(table.column_spacing(1), body);
    if shown.is_empty() {
        let text = if model.troubles.is_empty() { "no queues" } else { "nothing is known yet" };
        let line = Rect { y: body.y + 1, height: 1.min(body.height), ..body };
        frame.render_widget(Paragraph::new(text), line);
    }
}

/// Widths of the columns of numbers.
const NUMBERS: [u16; 6] = [7, 6, 7, 7, 8, 7];

/// The line at the top: what is said must be seen, of where it is the end.
fn title(frame: &mut Frame<'_>, look: Look, area: Rect, place: &str, said: &str) {
    let width = usize::from(area.width).saturating_sub(width_of(said)).max(12);
    let text = fitted_start(place, width) + said;
    frame.render_widget(Paragraph::new(text).style(look.head()), area);
}

fn cells(queue: &Queue, name: &str, name_width: usize) -> Vec<String> {
    let rate = |rate: Option<f64>| match rate {
        None => format!("{:>7}", "-"),
        Some(rate) if rate < 10.0 => format!("{rate:>7.1}"),
        Some(rate) => format!("{rate:>7.0}"),
    };
    let capacity = match queue.is_bounded {
        true => format!("{:>8}", queue.stat.capacity),
        false => format!("{:>8}", "-"),
    };
    vec![
        fitted_start(name, name_width),
        format!("{:>7}", queue.stat.depth),
        match queue.counts_held {
            true => format!("{:>6}", queue.stat.held),
            false => format!("{:>6}", "-"),
        },
        rate(queue.rates.map(|(sent, _)| sent)),
        rate(queue.rates.map(|(_, done)| done)),
        capacity,
        format!("{:>7}", queue.stat.readers),
    ]
}

/// The last depths as bars, the highest as high as can be.
fn spark(depths: impl DoubleEndedIterator<Item = u64>, width: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last: Vec<u64> = depths.rev().take(width).collect();
    let most = last.iter().copied().max().unwrap_or(0).max(1);
    let bar = |depth: u64| BARS[usize::try_from((depth * 8).div_ceil(most)).unwrap_or(8).min(8)];
    last.into_iter().rev().map(bar).collect()
}

/// How many messages are shown, and of how many.
fn shown_in_words(model: &Model) -> String {
    let (count, before) = (model.opened.messages.len() as u64, model.opened.before);
    let last = before + count;
    let all = match model.opened.ahead {
        Ahead::Nothing if before == 0 => return messages_in_words(count),
        Ahead::Nothing => messages_in_words(last),
        Ahead::Some(ahead) => messages_in_words(last + ahead),
        Ahead::Many => "many messages".to_owned(),
    };
    format!("{} to {last} of {all}", before + 1)
}

fn messages(
    frame: &mut Frame<'_>,
    model: &Model,
    look: Look,
    url: &str,
    head: Rect,
    body: Rect,
) -> (usize, usize) {
    let state = match (model.is_gone(), model.opened.follows) {
        (true, _) => ", removed",
        (_, true) => ", following",
        _ => "",
    };
    title(frame, look, head, url, &format!("  {}{state}", shown_in_words(model)));
    let [list, detail] =
        Layout::vertical([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(body);
    let height = usize::from(list.height);
    let first = model.opened.message.saturating_sub(height.saturating_sub(1));
    let width = usize::from(list.width);
    let lines =
        model.opened.messages.iter().enumerate().skip(first).take(height).map(|(at, seen)| {
            let style = if at == model.opened.message { look.chosen() } else { Style::new() };
            let begin = format!(
                "{:<18} {:<22} {:>8}  ",
                fitted(&place_of(seen), 18),
                fitted(&seen.event.id, 22),
                show_size(seen.event.body_len())
            );
            let rest = width.saturating_sub(begin.chars().count());
            let text = begin + &fitted(&glance(&seen.event, rest * 4), rest);
            Line::styled(format!("{text:<width$}"), style)
        });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), list);
    let block =
        Block::bordered().title(if model.opened.line.is_some() { "body" } else { "message" });
    let inner = block.inner(detail);
    let room = (usize::from(inner.width), usize::from(inner.height));
    let lines = match model.opened.chosen() {
        None => vec![Line::raw(if model.opened.follows { "waiting for one" } else { "none" })],
        Some(seen) => message(&seen.event, model, look, room),
    };
    frame.render_widget(Paragraph::new(lines).block(block), detail);
    room
}

/// As much of a message as has room; the line of its body that the cursor is
/// on is among it.
fn message(
    event: &Event,
    model: &Model,
    look: Look,
    (width, height): (usize, usize),
) -> Vec<Line<'static>> {
    let rows = message::rows(event, &model.opened.fold, width);
    let last_of = |line: usize| rows.iter().rposition(|row| row.line == Some(line));
    let chosen = model
        .opened
        .line
        .map(|line| line.min(rows.iter().filter_map(|row| row.line).max().unwrap_or(0)));
    let first = match chosen.and_then(last_of) {
        Some(last) => (last + 1).saturating_sub(height),
        None => model.opened.scroll.min(rows.len().saturating_sub(1)),
    };
    let styled = |(kind, text): (Kind, String)| Span::styled(text, look.of(kind));
    let line = |row: message::ScreenRow| {
        let is_chosen = chosen.is_some() && row.line == chosen;
        let line = Line::from_iter(row.pieces.into_iter().map(styled));
        if is_chosen { line.patch_style(look.chosen()) } else { line }
    };
    rows.into_iter().skip(first).take(height).map(line).collect()
}

fn footer(model: &Model, look: Look) -> Line<'static> {
    let silent =
        |(source, silence_s): &(String, u64)| format!("{source}: no answer for {silence_s} s");
    let trouble = model.silence.as_ref().map(silent);
    let trouble = trouble.or_else(|| model.troubles.values().next().cloned());
    // What came of a key is seen until the next one.
    if let Some(text) = model.notice.clone().or(trouble) {
        return Line::styled(text, look.colour(Color::Red).add_modifier(Modifier::BOLD));
    }
    Line::raw(match model.page {
        Page::Queues => {
            "Enter open  f follow  / filter  s sort  R redrive  P purge  ? help  q leave"
        }
        Page::Messages(_) if model.opened.line.is_some() => {
            "Esc back to the messages  Enter fold or unfold  + - fold all  ? help"
        }
        Page::Messages(_) => {
            "Esc back  Enter into it  f follow  + - fold  R redrive  P purge  ? help"
        }
    })
}

/// A window in the middle of the screen.
fn window(frame: &mut Frame<'_>, title: &'static str, lines: &[String]) {
    let area = frame.area();
    let wanted = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) + 4;
    let width = u16::try_from(wanted).unwrap_or(u16::MAX).min(area.width);
    let inner = usize::from(width.saturating_sub(4)).max(1);
    let rows: usize = lines.iter().map(|line| line.chars().count().div_ceil(inner).max(1)).sum();
    let height = u16::try_from(rows + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let text: Vec<Line<'_>> = lines.iter().map(|line| Line::raw(line.as_str())).collect();
    let block = Block::bordered().title(title).padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Clear, place);
    let wrap = ratatui::widgets::Wrap { trim: false };
    frame.render_widget(Paragraph::new(text).wrap(wrap).block(block), place);
}
