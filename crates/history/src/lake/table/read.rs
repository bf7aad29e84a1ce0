//! Rows of a Parquet file.

use bytes::Bytes;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use super::form;
use super::write::NAMES;
use crate::lake::Row;

/// The last column.
const RAW: usize = 14;

/// A Parquet file of our form.
pub(in crate::lake) struct Table {
    reader: SerializedFileReader<Bytes>,
}

/// A column's cells as they are stored.
struct Cells<T> {
    values: Vec<T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl Table {
    /// Opens a file whose bytes are known to be those that were written: others are not met with patience.
    pub(in crate::lake) fn open(bytes: Bytes) -> Result<Self> {
        let reader = SerializedFileReader::new(bytes)?;
        let is_ours = reader.metadata().file_metadata().schema() == form()?.as_ref();
        if is_ours { Ok(Self { reader }) } else { Err(fault("its columns are others")) }
    }

    /// How many groups of rows it has.
    pub(in crate::lake) fn groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// How many rows a group has.
    pub(in crate::lake) fn count(&self, group: usize) -> u64 {
        u64::try_from(self.reader.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    /// The texts of a group's rows.
    pub(in crate::lake) fn texts(&self, group: usize) -> Result<Vec<String>> {
        let group = self.reader.get_row_group(group)?;
        required::<ByteArrayType>(&*group, RAW)?.into_iter().map(text).collect()
    }

    /// A group's rows.
    pub(in crate::lake) fn rows(&self, group: usize) -> Result<Vec<Row>> {
        let group = &*self.reader.get_row_group(group)?;
        let texts =
            |column| required::<ByteArrayType>(group, column)?.into_iter().map(text).collect::<Result<Vec<_>>>();
        let raw = texts(RAW)?;
        let mut rows: Vec<Row> = raw.into_iter().map(|raw| Row { raw, ..Row::default() }).collect();
        fill(&mut rows, texts(0)?, |row, id| row.reading_id = id)?;
        fill(&mut rows, texts(1)?, |row, batch| row.batch = batch)?;
        fill(&mut rows, required::<Int32Type>(group, 2)?, |row, line| row.line = line)?;
        fill(&mut rows, optional::<Int64Type>(group, 3)?, |row, received| row.received = received)?;
        fill(&mut rows, optional::<Int64Type>(group, 4)?, |row, time| row.event_time = time)?;
        for (index, name) in NAMES.into_iter().enumerate() {
            let names = optional::<ByteArrayType>(group, 5 + index)?.into_iter();
            let names = names.map(|name| name.map(text).transpose()).collect::<Result<Vec<_>>>()?;
            fill(&mut rows, names, |row, text| *name(row) = text)?;
        }
        fill(&mut rows, metrics(group)?, |row, metrics| row.metrics = metrics)?;
        Ok(rows)
    }
}

/// Gives each row its cell.
fn fill<T>(rows: &mut [Row], cells: Vec<T>, give: impl Fn(&mut Row, T)) -> Result<()> {
    if rows.len() != cells.len() {
        return Err(fault("its columns are of different lengths"));
    }
    rows.iter_mut().zip(cells).for_each(|(row, cell)| give(row, cell));
    Ok(())
}

fn cells<T: DataType>(group: &dyn RowGroupReader, column: usize) -> Result<Cells<T::T>> {
    let count = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let mut cells = Cells { values: Vec::new(), definitions: Vec::new(), repetitions: Vec::new() };
    reader.read_records(count, Some(&mut cells.definitions), Some(&mut cells.repetitions), &mut cells.values)?;
    Ok(cells)
}

fn required<T: DataType>(group: &dyn RowGroupReader, column: usize) -> Result<Vec<T::T>> {
    Ok(cells::<T>(group, column)?.values)
}

fn optional<T: DataType>(group: &dyn RowGroupReader, column: usize) -> Result<Vec<Option<T::T>>> {
    let Cells { values, definitions, .. } = cells::<T>(group, column)?;
    let mut values = values.into_iter();
    Ok(definitions.into_iter().map(|definition| if definition == 1 { values.next() } else { None }).collect())
}

fn metrics(group: &dyn RowGroupReader) -> Result<Vec<Vec<(String, f64)>>> {
    let keys = cells::<ByteArrayType>(group, 12)?;
    let values = cells::<DoubleType>(group, 13)?;
    let mut pairs = keys.values.into_iter().map(text).zip(values.values);
    let mut metrics: Vec<Vec<(String, f64)>> = Vec::new();
    for (definition, repetition) in keys.definitions.into_iter().zip(keys.repetitions) {
        if repetition == 0 {
            metrics.push(Vec::new());
        }
        if definition == 1 {
            let (key, value) = pairs.next().ok_or_else(|| fault("it has fewer values than names of metrics"))?;
            metrics.last_mut().ok_or_else(|| fault("its first metric is of no row"))?.push((key?, value));
        }
    }
    Ok(metrics)
}

fn text(bytes: ByteArray) -> Result<String> {
    String::from_utf8(bytes.data().to_vec()).map_err(|_| fault("it holds text that is not UTF-8"))
}

fn fault(why: &str) -> ParquetError {
    ParquetError::General(why.to_owned())
}
