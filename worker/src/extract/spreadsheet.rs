//! Workbooks (XLSX, XLSB, XLS, ODS): a page a sheet, its rows as tables. Formulas by their stored values.

use std::io::BufReader;

use calamine::{Data, Ods, Reader, Xls, Xlsb, Xlsx};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};

use super::source::Source;
use super::text::Table;
use super::work::Work;

fn damaged(error: impl std::fmt::Display) -> Failure {
    let detail = error.to_string();
    let code = if detail.to_lowercase().contains("password") {
        FailureCode::Encrypted
    } else {
        FailureCode::Damaged
    };
    Failure::new(code, detail)
}

fn info(work: &Work<'_, '_>) -> DocumentInfo {
    DocumentInfo { title: None, media_type: work.kind.media_type().to_owned(), page_count: None }
}

/// Reads all sheets in order.
pub(super) fn xlsx(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut workbook = Xlsx::new(BufReader::new(source)).map_err(damaged)?;
    let (info, emitter) = (info(work), &mut *work.emitter);
    emitter.info(info)?;
    for name in workbook.sheet_names() {
        // Cell by cell: a sheet is never held whole.
        emitter.block(BlockKind::Heading(1), &name)?;
        let Ok(mut cells) = workbook.worksheet_cells_reader(&name) else { continue };
        let (mut table, mut row, mut row_number) = (Table::default(), Vec::<String>::new(), 0);
        while let Some(cell) = cells.next_cell().map_err(damaged)? {
            let (number, column) = cell.get_position();
            if number != row_number {
                table.row(row.drain(..), emitter)?;
                row_number = number;
            }
            let text = shown(&Data::from(cell.get_value().clone()));
            // A wild column number must not make a row of its size.
            let column = (column as usize).min(16_384);
            if !text.is_empty() && column >= row.len() {
                row.resize(column, String::new());
                row.push(text);
            }
        }
        table.row(row.drain(..), emitter)?;
        table.end(emitter)?;
        emitter.end_page_if_any()?;
    }
    Ok(())
}

/// Reads all sheets in order.
pub(super) fn xlsb(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    sheets(Xlsb::new(BufReader::new(source)).map_err(damaged)?, work)
}

/// Reads all sheets in order.
pub(super) fn xls(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    sheets(Xls::new(BufReader::new(source)).map_err(damaged)?, work)
}

/// Reads all sheets in order.
pub(super) fn ods(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    sheets(Ods::new(BufReader::new(source)).map_err(damaged)?, work)
}

fn sheets<W>(mut workbook: W, work: &mut Work<'_, '_>) -> Result<(), Failure>
where
    W: Reader<BufReader<Source>>,
    W::Error: std::fmt::Display,
{
    let (info, emitter) = (info(work), &mut *work.emitter);
    emitter.info(info)?;
    for name in workbook.sheet_names() {
        let range = workbook.worksheet_range(&name).map_err(damaged)?;
        emitter.block(BlockKind::Heading(1), &name)?;
        let mut table = Table::default();
        for row in range.rows() {
            table.row(row.iter().map(shown), emitter)?;
        }
        table.end(emitter)?;
        emitter.end_page_if_any()?;
    }
    Ok(())
}

/// A cell as a reader would see it; dates as ISO 8601, as their stored form is a bare number.
fn shown(cell: &Data) -> String {
    match cell {
        Data::DateTime(stored) if stored.is_duration() => {
            let seconds = stored.as_duration().map(|duration| duration.num_seconds()).unwrap_or_default();
            format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
        }
        Data::DateTime(stored) => match stored.as_datetime() {
            Some(moment) => {
                let text = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
                text.strip_suffix("T00:00:00").map(str::to_owned).unwrap_or(text)
            }
            None => stored.as_f64().to_string(),
        },
        Data::Empty | Data::Error(_) => String::new(),
        other => other.to_string(),
    }
}
