"""The results of a study: files on disk, the record of forecasts, the scoreboard."""
