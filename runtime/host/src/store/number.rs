//! Counts and times in SQLite, whose integers are signed.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A number that is never negative.
pub(super) struct Number(pub(super) u64);

impl Number {
    pub(super) fn of(count: usize) -> Self {
        Self(count as u64)
    }
}

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        // A limit beyond what SQLite can count means no limit.
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = i64::column_result(value)?;
        u64::try_from(number)
            .map(Self)
            .map_err(|_| rusqlite::types::FromSqlError::OutOfRange(number))
    }
}
