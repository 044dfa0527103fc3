package replicate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const messageLimit = 1000 // bytes of a remote's message that are kept

// readAnswer classifies a response of the write API.
func readAnswer(resp *http.Response, body []byte, now time.Time) Answer {
	a := Answer{Code: resp.StatusCode, Class: classOf(resp.StatusCode), RetryAfter: retryAfter(resp.Header, now), Body: body}
	if a.Class == Accepted {
		a.Body = nil
		return a
	}
	// A 4xx that is not of the line protocol's kind but carries its text is (1.x answers a partial write in several ways).
	text := remoteMessage(resp.Header, body)
	if a.Code == http.StatusInternalServerError && strings.Contains(text, "partial write:") {
		a.Class = Unacceptable
	}
	if a.Class == Unreachable && a.RetryAfter >= 0 {
		a.Class = Busy
	}
	if location := resp.Header.Get("Location"); a.Code >= 300 && a.Code < 400 && location != "" {
		text = "the remote redirects; set its URL to the place itself"
	}
	a.Message = strings.TrimSuffix(fmt.Sprintf("%d %s: %s", a.Code, http.StatusText(a.Code), text), ": ")
	return a
}

func classOf(code int) Class {
	switch {
	case code >= 200 && code < 300:
		return Accepted
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return Busy
	case code == http.StatusRequestEntityTooLarge:
		return TooLarge
	case code == http.StatusBadRequest, code == http.StatusUnprocessableEntity:
		return Unacceptable
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return Unreachable
	}
	// 1xx never comes here; 3xx and every other 4xx say that address, token or rights are wrong, not the lines.
	return Denied
}

// retryAfter reads the header in both its forms, seconds and a date; negative when there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, gateCap.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return -1
}

// remoteMessage finds the words in an answer: `message` of 2.x, `error` of 1.x and 3.x, their headers, or plain text.
func remoteMessage(h http.Header, body []byte) string {
	var words struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	text := string(body)
	if err := json.Unmarshal(body, &words); err == nil {
		text = words.Message
		if text == "" {
			text = words.Error
		}
	}
	if text == "" {
		text = h.Get("X-Influxdb-Error")
	}
	text = strings.ToValidUTF8(strings.TrimSpace(text), "�")
	if len(text) > messageLimit {
		text = strings.ToValidUTF8(text[:messageLimit], "") + "…"
	}
	return text
}
