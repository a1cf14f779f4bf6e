//! The model on a screen of any size from 80 by 24 up; smaller ones are cut.

use super::body;
use super::json::{self, Kind};
use super::model::Model;
use super::parts::{Over, Page, Row as Queue};
use crate::cli::confirm::messages as messages_in_words;
use crate::event::Event;
use crate::look::{fitted, glance, place_of};
use crate::units::show_size;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table};

/// Width of a sparkline.
const SPARK: usize = 16;
/// Width of a screen that has room for them.
const SPARKS_FROM: u16 = 90;

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

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: Look) {
    let footer = footer(model, look);
    // What went wrong is worth a second line, and a third.
    let lines = footer.width().div_ceil(usize::from(frame.area().width).max(1)).clamp(1, 3) as u16;
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(lines)])
            .areas(frame.area());
    match &model.page {
        Page::Queues => queues(frame, model, look, head, body),
        Page::Messages(url) => messages(frame, model, look, url, head, body),
    }
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
}

const HELP: [&str; 18] = [
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
    "space b  scroll down and up what a message shows",
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
    let text = format!(
        "faas-queue top{filter}  {}  {}, {total} waiting, by {}{turned}",
        model.middleware().unwrap_or_default(),
        if shown.len() == 1 { "1 queue".to_owned() } else { format!("{} queues", shown.len()) },
        model.sort.word()
    );
    frame.render_widget(Paragraph::new(text).style(look.head()), head);
    // Numbers and the gaps between them.
    let numbers = 7 + 6 + 9 + 9 + 8 + 7 + 6;
    let has_sparks = body.width >= SPARKS_FROM;
    let spark = if has_sparks { SPARK + 1 } else { 0 };
    let name_width = usize::from(body.width).saturating_sub(numbers + spark).max(12);
    let widths = [
        Constraint::Length(name_width as u16),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(SPARK as u16),
    ];
    let columns = if has_sparks { widths.len() } else { widths.len() - 1 };
    let place = model.place().unwrap_or(0);
    let height = usize::from(body.height).saturating_sub(1);
    let first = place.saturating_sub(height.saturating_sub(1));
    let rows = shown.iter().enumerate().skip(first).take(height).map(|(at, queue)| {
        let style = if at == place { look.chosen() } else { Style::new() };
        let cells = cells(queue, model.name_of(queue), name_width).into_iter().take(columns);
        Row::new(cells).style(style)
    });
    let names = [
        "QUEUE",
        "  DEPTH",
        "  HELD",
        "     IN/S",
        "    OUT/S",
        "CAPACITY",
        "READERS",
        "DEPTH SINCE",
    ];
    let head = Row::new(names.into_iter().take(columns)).style(look.head());
    let table = Table::new(rows, &widths[..columns]).header(head);
    frame.render_widget(table.column_spacing(1), body);
    if shown.is_empty() {
        let text = if model.troubles.is_empty() { "no queues" } else { "nothing is known yet" };
        let line = Rect { y: body.y + 1, height: 1.min(body.height), ..body };
        frame.render_widget(Paragraph::new(text), line);
    }
}

fn cells(queue: &Queue, name: &str, name_width: usize) -> Vec<String> {
    let rate = |rate: Option<f64>| match rate {
        None => format!("{:>9}", "-"),
        Some(rate) if rate < 10.0 => format!("{rate:>9.1}"),
        Some(rate) => format!("{rate:>9.0}"),
    };
    let capacity = match queue.is_bounded {
        true => format!("{:>8}", queue.stat.capacity),
        false => format!("{:>8}", "-"),
    };
    vec![
        fitted_end(name, name_width),
        format!("{:>7}", queue.stat.depth),
        format!("{:>6}", queue.stat.held),
        rate(queue.rates.map(|(sent, _)| sent)),
        rate(queue.rates.map(|(_, done)| done)),
        capacity,
        format!("{:>7}", queue.stat.readers),
        spark(queue.depths.iter().copied()),
    ]
}

/// A text of which the end says more, cut at its begin.
fn fitted_end(text: &str, width: usize) -> String {
    let turned: String = text.chars().rev().collect();
    fitted(&turned, width).chars().rev().collect()
}

/// The last depths as bars, the highest as high as can be.
fn spark(depths: impl DoubleEndedIterator<Item = u64>) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last: Vec<u64> = depths.rev().take(SPARK).collect();
    let most = last.iter().copied().max().unwrap_or(0).max(1);
    let bar = |depth: u64| BARS[usize::try_from((depth * 8).div_ceil(most)).unwrap_or(8).min(8)];
    last.into_iter().rev().map(bar).collect()
}

fn messages(frame: &mut Frame<'_>, model: &Model, look: Look, url: &str, head: Rect, body: Rect) {
    let follows = if model.follows { ", following" } else { "" };
    let text = format!("{url}  {}{follows}", messages_in_words(model.messages.len() as u64));
    frame.render_widget(Paragraph::new(text).style(look.head()), head);
    let [list, detail] =
        Layout::vertical([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(body);
    let height = usize::from(list.height);
    let first = model.message.saturating_sub(height.saturating_sub(1));
    let width = usize::from(list.width);
    let lines = model.messages.iter().enumerate().skip(first).take(height).map(|(at, seen)| {
        let style = if at == model.message { look.chosen() } else { Style::new() };
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
    let block = Block::bordered().title(if model.line.is_some() { "body" } else { "message" });
    let lines = match model.messages.get(model.message) {
        None => vec![Line::raw(if model.follows { "waiting for one" } else { "none" })],
        Some(seen) => {
            let height = usize::from(block.inner(detail).height);
            message(&seen.event, model, look, height)
        }
    };
    frame.render_widget(Paragraph::new(lines).block(block), detail);
}

/// As much of a message as has room, its attributes first; the line that the
/// cursor is on is among them.
fn message(event: &Event, model: &Model, look: Look, height: usize) -> Vec<Line<'static>> {
    let styled = |(kind, text): (Kind, String)| Span::styled(text, look.of(kind));
    let line = |line: json::Line| Line::from_iter(line.pieces.into_iter().map(styled));
    let mut lines = attributes(event, look);
    let first = lines.len();
    lines.extend(body::lines(event, &model.fold).into_iter().map(line));
    let last = lines.len().saturating_sub(1);
    let Some(at) = model.line.map(|at| (first + at).min(last)) else {
        return lines.into_iter().skip(model.scroll).collect();
    };
    if let Some(line) = lines.get_mut(at) {
        *line = std::mem::take(line).patch_style(look.chosen());
    }
    lines.into_iter().skip((at + 1).saturating_sub(height)).collect()
}

fn attributes(event: &Event, look: Look) -> Vec<Line<'static>> {
    let own = [("id", &event.id), ("source", &event.source), ("type", &event.kind)];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
    let time = event.time.clone().map(|time| ("time".to_owned(), time));
    let kind = event.content_type.clone().map(|kind| ("datacontenttype".to_owned(), kind));
    let more = event.extensions.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let all = own.chain(time).chain(kind).chain(more);
    let line = |(name, value): (String, String)| {
        let name = Span::styled(format!("{name:<16}"), look.of(Kind::Name));
        Line::from(vec![name, Span::raw(fitted(&value, 400))])
    };
    all.map(line).collect()
}

fn footer(model: &Model, look: Look) -> Line<'static> {
    let silence = model.silence_s.map(|silence_s| format!("no answer for {silence_s} s"));
    let trouble = model.troubles.values().next().cloned().or(silence);
    if let Some(text) = trouble.or_else(|| model.notice.clone()) {
        return Line::styled(text, look.colour(Color::Red).add_modifier(Modifier::BOLD));
    }
    Line::raw(match model.page {
        Page::Queues => {
            "Enter open  f follow  / filter  s sort  R redrive  P purge  ? help  q leave"
        }
        Page::Messages(_) if model.line.is_some() => {
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
