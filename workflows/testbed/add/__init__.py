"""Team add: sums of six to eight columns, worked out column by column."""
