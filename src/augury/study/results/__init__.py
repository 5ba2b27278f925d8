"""What came of a study: results on disk, the record of forecasts, the scoreboard."""
