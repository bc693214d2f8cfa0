package main

// Writes down what the vaults answer, for conformance/contract.py to hold against Microsoft's own description.

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// replaced stands for every `value`, which may be secret; it is base64url as well as text.
const replaced = "replaced"

// recorded is what a client is given to be recorded; nothing that it sends or reads is changed.
var recorded = azcore.ClientOptions{PerRetryPolicies: []policy.Policy{recorder{os.Getenv("CONFORMANCE_RECORDING")}}}

// recorder writes one line of JSON for every answer that reaches a client.
type recorder struct{ file string }

type answer struct {
	Method      string `json:"method"`
	Path        string `json:"path"`
	Status      int    `json:"status"`
	ContentType string `json:"content_type"`
	Body        any    `json:"body"`
}

func (r recorder) Do(request *policy.Request) (*http.Response, error) {
	answered, err := request.Next()
	if err != nil || r.file == "" {
		return answered, err
	}
	text, err := runtime.Payload(answered)
	if err != nil {
		return answered, err
	}
	contentType, _, _ := strings.Cut(answered.Header.Get("Content-Type"), ";")
	line := answer{request.Raw().Method, request.Raw().URL.Path, answered.StatusCode, contentType, string(text)}
	if contentType == "application/json" {
		if err = json.Unmarshal(text, &line.Body); err != nil {
			return answered, err
		}
		if body, ok := line.Body.(map[string]any); ok {
			if _, secret := body["value"].(string); secret {
				body["value"] = replaced
			}
		}
	}
	return answered, r.write(line)
}

// write appends with one write, so that lines of several processes do not mix.
func (r recorder) write(line answer) error {
	bytes, err := json.Marshal(line)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(r.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(bytes, '\n'))
	return err
}
