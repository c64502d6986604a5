//! Workbooks (XLSX, XLSB, XLS, ODS): a page a sheet, its rows as tables. Formulas by their stored values. A sheet that
//! cannot be read is lost, the others are not. Charts, drawings and what is embedded are not read.

use std::io::BufReader;

use calamine::{Data, Ods, Range, Reader, SheetType, Xls, Xlsb, Xlsx};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{DocumentInfo, PageReason};

use super::emit::Emitter;
use super::package::Package;
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

/// The archive again, when what it says of its size may be unpacked: the workbook reader unpacks some parts whole.
fn checked(source: Source, work: &mut Work<'_, '_>) -> Result<BufReader<Source>, Failure> {
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    package.count_declared()?;
    Ok(BufReader::new(package.into_source()))
}

/// Reads all sheets in order.
pub(super) fn xlsx(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut workbook = Xlsx::new(checked(source, work)?).map_err(damaged)?;
    let (info, emitter) = (info(work), &mut *work.emitter);
    emitter.info(info)?;
    for (name, has_cells) in sheet_names(&workbook) {
        emitter.name_page(&name)?;
        let read = if has_cells { xlsx_sheet(&mut workbook, &name, emitter) } else { Ok(()) };
        match read {
            Ok(()) => end_sheet(emitter)?,
            lost => emitter.or_lost(lost)?,
        }
    }
    Ok(())
}

/// Cell by cell: a sheet is never held whole.
fn xlsx_sheet(
    workbook: &mut Xlsx<BufReader<Source>>,
    name: &str,
    emitter: &mut Emitter<'_>,
) -> Result<(), Failure> {
    let mut cells = workbook.worksheet_cells_reader(name).map_err(damaged)?;
    let (mut table, mut row, mut row_number) = (Table::default(), Vec::<String>::new(), 0);
    let mut outcome = Ok(());
    loop {
        let cell = match cells.next_cell() {
            Ok(Some(cell)) => cell,
            Ok(None) => break,
            Err(error) => {
                outcome = Err(damaged(error));
                break;
            }
        };
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
    // Rows before a damage stay.
    table.row(row.drain(..), emitter)?;
    table.end(emitter)?;
    outcome
}

/// Reads all sheets in order.
pub(super) fn xlsb(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    sheets(Xlsb::new(checked(source, work)?).map_err(damaged)?, work)
}

/// Reads all sheets in order.
pub(super) fn xls(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    sheets(Xls::new(BufReader::new(source)).map_err(damaged)?, work)
}

/// Reads all sheets in order.
pub(super) fn ods(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    sheets(Ods::new(checked(source, work)?).map_err(damaged)?, work)
}

fn sheets<W>(mut workbook: W, work: &mut Work<'_, '_>) -> Result<(), Failure>
where
    W: Reader<BufReader<Source>>,
    W::Error: std::fmt::Display,
{
    let (info, emitter) = (info(work), &mut *work.emitter);
    emitter.info(info)?;
    for (name, has_cells) in sheet_names(&workbook) {
        emitter.name_page(&name)?;
        let range =
            if has_cells { workbook.worksheet_range(&name).map_err(damaged) } else { Ok(Range::empty()) };
        match range {
            Ok(range) => {
                let mut table = Table::default();
                for row in range.rows() {
                    table.row(row.iter().map(shown), emitter)?;
                }
                table.end(emitter)?;
                end_sheet(emitter)?;
            }
            Err(failure) => emitter.or_lost(Err(failure))?,
        }
    }
    Ok(())
}

/// The name of a sheet is no text: one without cells has none.
fn end_sheet(emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    emitter.without_text(
        PageReason::Empty.note("no cell of the sheet holds anything; charts and drawings are not read"),
    );
    emitter.end_page_if_any()
}

/// Names of the sheets in order, and whether they have cells: charts and macros have none.
fn sheet_names<W: Reader<BufReader<Source>>>(workbook: &W) -> Vec<(String, bool)> {
    let sheets = workbook.sheets_metadata().iter();
    sheets.map(|sheet| (sheet.name.clone(), sheet.typ == SheetType::WorkSheet)).collect()
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
